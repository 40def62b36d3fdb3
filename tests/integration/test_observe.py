"""What metrics, rules and dashboards say, against a daemon at work and a real Prometheus."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers import Daemon, Place, free_port, jpeg, wait_for

Run = Callable[[Place], Daemon]
PACKAGING = Path(__file__).parents[2] / "packaging"
RULES = PACKAGING / "prometheus"
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="Prometheus is not installed (Debian: apt install prometheus)",
)


def samples(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_numbers_of_a_known_run(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, "limits: {max_pixels: 1M}")
    for number in range(5):
        place.put(f"{number}.jpg", jpeg(400, 300, number))
    place.put("bad.jpg", b"\xff\xd8\xff" + b"nonsense" * 50)
    (place.inbox / "bad.jpg").touch()
    assert place.scan().returncode == 1
    daemon = run(place)
    for number in range(5, 8):
        place.put(f"{number}.jpg", jpeg(400, 300, number))
    daemon.wait_metric("hotfolder_jobs_total", 3, watch="inbox", result="done")
    place.put("huge.jpg", jpeg(1100, 1000))
    daemon.wait_metric("hotfolder_jobs_total", 1, watch="inbox", result="failed")
    place.put("0.jpg", (place.inbox / "0.jpg").read_bytes())
    daemon.wait_metric("hotfolder_cache_requests_total", 1, result="hit")
    found = samples(daemon.get("/metrics").decode())
    assert found['hotfolder_jobs_total{result="done",watch="inbox"}'] == 3
    assert found['hotfolder_jobs_total{result="failed",watch="inbox"}'] == 1  # the other one was before this start
    assert sum(v for k, v in found.items() if k.startswith("hotfolder_quarantined_sources{")) == 2
    assert found['hotfolder_quarantined_sources{reason="too_many_pixels"}'] == 1
    assert found['hotfolder_sources{watch="inbox"}'] == 10
    assert found['hotfolder_sources_pending{watch="inbox"}'] == 0
    for preset in ("small", "medium", "large", "preview", "square", "banner", "optimized"):
        assert found[f'hotfolder_renditions_total{{preset="{preset}"}}'] == 3
    assert found['hotfolder_stage_duration_seconds_count{stage="decode"}'] == 3
    assert found['hotfolder_drop_to_ready_seconds_count{watch="inbox"}'] == 3
    assert found["hotfolder_source_bytes_total"] == sum((place.inbox / f"{n}.jpg").stat().st_size for n in (5, 6, 7))
    written = sum((place.out / name).stat().st_size for n in (5, 6, 7) for name in place.of(f"{n}.jpg"))
    assert found["hotfolder_rendition_bytes_total"] == written
    assert found['hotfolder_watch_up{watch="inbox"}'] == 1
    assert found['hotfolder_output_free_bytes{watch="inbox"}'] > 0
    assert found["hotfolder_inotify_watches"] >= 1
    most = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    assert found["hotfolder_inotify_watches_limit"] == most
    assert not [name for name in found if "inbox/" in name or ".jpg" in name]


def test_scrapes_go_on_under_load_and_counters_never_go_back(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path)
    daemon = run(place)
    content = jpeg(3000, 2000)
    for number in range(16):
        place.put(f"{number}.jpg", content + bytes([number + 1]))
    last: dict[str, float] = {}
    scrapes = 0
    while daemon.metric("hotfolder_jobs_total", watch="inbox", result="done") < 12:
        found = samples(daemon.get("/metrics").decode())
        scrapes += 1
        for name, value in found.items():
            if re.match(r"hotfolder_\w+(_total|_count|_sum|_bucket)\b", name):
                assert value >= last.get(name, 0.0), name
        last = found
        threading.Event().wait(0.05)
    assert scrapes > 5
    answer = daemon.get("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.rstrip().endswith(b"# EOF")


@needs_prometheus
def test_rules_and_metrics_pass_promtool(place: Place, run: Run) -> None:
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=RULES, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    metrics = run(place).get("/metrics")
    check = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, check=False)
    assert (check.returncode, check.stdout + check.stderr) == (0, b"")


def test_every_alert_is_tested_and_explained() -> None:
    alerts = {rule["alert"]: rule for rule in yaml.safe_load((RULES / "alerts.yml").read_text())["groups"][0]["rules"]}
    cases = yaml.safe_load((RULES / "alerts_test.yml").read_text())["tests"]
    fires = {case["alertname"] for test in cases for case in test["alert_rule_test"] if case["exp_alerts"]}
    absent = {case["alertname"] for case in cases[-1]["alert_rule_test"]}
    assert fires == absent == set(alerts)
    for case in cases[:-1]:
        instances = {
            match for each in case["input_series"] for match in re.findall(r'instance="(\w+)"', each["series"])
        }
        assert {"bad", "good"} <= instances
    headings = re.findall(r"^## (\w+)$", (PACKAGING.parent / "docs/runbook.md").read_text(), re.MULTILINE)
    assert headings == list(alerts)
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def dashboards() -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("make_dashboards", PACKAGING / "grafana/make_dashboards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Any] = module.DASHBOARDS
    return found


def test_dashboards_are_current_and_complete() -> None:
    for name, content in dashboards().items():
        assert json.loads((PACKAGING / "grafana/dashboards" / name).read_text()) == json.loads(json.dumps(content))
        titles = [panel["title"] for panel in content["panels"]]
        assert len(set(titles)) == len(titles)
        for panel in content["panels"]:
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["datasource"]["uid"] == "${datasource}"


class Prometheus:
    """A server of its own over our configuration, every second."""

    def __init__(self, base: Path, target: int) -> None:
        text = (RULES / "prometheus.yml").read_text().replace("127.0.0.1:9766", f"127.0.0.1:{target}")
        config = text.replace("15s", "1s")
        for name in ("recording.yml", "alerts.yml"):
            shutil.copy(RULES / name, base)
        (base / "prometheus.yml").write_text(config)
        self.port = free_port()
        command = ["prometheus", f"--config.file={base}/prometheus.yml", f"--storage.tsdb.path={base}/data"]
        self.log = (base / "prometheus.log").open("wb")
        self.process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log
        )

    def ask(self, path: str, **arguments: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None  # it is starting
            raise AssertionError(f"{arguments}: {error.read().decode()}") from error
        except OSError:
            return None

    def query(self, expression: str) -> list[Any]:
        found: list[Any] = (self.ask("query", query=expression) or {"result": []})["result"]
        return found


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[int], Prometheus]]:
    started: list[Prometheus] = []

    def start(target: int) -> Prometheus:
        (tmp_path / "prometheus").mkdir()
        started.append(Prometheus(tmp_path / "prometheus", target))
        return started[-1]

    yield start
    for server in started:
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
        server.log.close()


@needs_prometheus
def test_every_query_gives_data(place: Place, run: Run, prometheus: Callable[[int], Prometheus]) -> None:
    daemon = run(place)
    server = prometheus(place.port)
    wait_for("the first scrape", lambda: server.query('up{job="hotfolder"} == 1'))
    for number in range(12):
        place.put(f"{number}.jpg", jpeg(900, 700, number))
    place.put("bad.png", b"")
    daemon.wait_metric("hotfolder_jobs_total", 12, watch="inbox", result="done")
    wait_for("the work to be seen", lambda: server.query('increase(hotfolder_jobs_total{result="done"}[1m]) > 5'))
    asked = 0
    for content in dashboards().values():
        for panel in content["panels"]:
            for target in panel["targets"]:
                expression = target["expr"].replace("$__rate_interval", "1m")
                expression = expression.replace("$instance", ".*").replace("$watch", ".*")
                wait_for(f"{panel['title']}: {expression}", lambda expression=expression: server.query(expression))  # type: ignore[misc]
                asked += 1
    assert asked > 40

    def evaluated() -> bool:
        groups = server.ask("rules")["groups"]
        return all(rule["health"] == "ok" for group in groups for rule in group["rules"])

    wait_for("all rules to be evaluated", evaluated)
    recorded = [
        rule["name"]
        for group in server.ask("rules")["groups"]
        for rule in group["rules"]
        if rule["type"] == "recording"
    ]
    wait_for("what is recorded", lambda: all(server.query(name) for name in recorded))
    firing = {alert["labels"]["alertname"] for alert in server.ask("alerts")["alerts"] if alert["state"] == "firing"}
    assert firing <= {"HotfolderDiskNearlyFull"}, firing
