"""Each key says whether it is in force after SIGHUP, and what it says is so: in a running engine, key by key."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hotfolder.config import Config, load, reloading
from hotfolder.config.schema import Config as Schema
from hotfolder.engine import Engine
from hotfolder.errors import ConfigError, Reason, SourceError, StartError
from hotfolder.model import Lane
from hotfolder.server import app
from hotfolder.server.guard import Guard
from hotfolder.server.sessions import Sessions
from hotfolder.watches.settings import Settings
from tests.helpers import jpeg

BASE: dict[str, Any] = {
    "watches": [{"name": "inbox", "path": "./inbox", "output": "./out"}],
    "presets": {"wide": {"width": 64, "height": 16, "suffix": "_wide"}},
    "hooks": [{"name": "tell", "events": ["ready"], "run": ["true"]}],
    "http": {"enabled": False},
}
JPEG = jpeg()
RESTART = {"state", "http.enabled", "http.host", "http.port", "pool.executor"}


class Seat:
    """An engine at work, and what tests ask it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        (base / "inbox").mkdir()
        self.engine = Engine(self.read(BASE), live=True)
        self.engine.start()
        self.sessions = Sessions(None)
        asgi = app.create(self.engine, self.sessions)
        self.guard = Guard(
            asgi, self.engine.metrics, sessions=self.sessions, http=lambda: self.engine.config.http, trusted=False
        )

    def read(self, content: dict[str, Any]) -> Config:
        (self.base / "config.yaml").write_text(json.dumps(content))
        return load(str(self.base / "config.yaml"), {}).config

    def apply(self, content: dict[str, Any]) -> None:
        self.engine.apply(reloading.in_force(self.engine.config, self.read(content)))

    @property
    def watcher(self) -> Any:
        return self.engine.watchers["inbox"]

    @property
    def preset(self) -> Any:
        return self.engine.config.all_presets()["wide"]

    @property
    def courier(self) -> Any:
        (courier,) = self.engine.couriers._couriers
        return courier


@pytest.fixture
def seat(tmp_path: Path) -> Iterator[Seat]:
    found = Seat(tmp_path)
    yield found
    found.engine.stop(10)


def used(seat: Seat) -> Settings:
    """What workers go by."""
    return seat.engine.worker._steps._settings


def watch(**keys: Any) -> dict[str, Any]:
    return BASE | {"watches": [BASE["watches"][0] | keys]}


def wide(**keys: Any) -> dict[str, Any]:
    return watch(presets=["wide"]) | {"presets": {"wide": BASE["presets"]["wide"] | keys}}


def hook(**keys: Any) -> dict[str, Any]:
    return BASE | {"hooks": [{key: value for key, value in (BASE["hooks"][0] | keys).items() if value is not None}]}


def section(name: str, **keys: Any) -> dict[str, Any]:
    return BASE | {name: BASE.get(name, {}) | keys}


Look = Callable[[Seat], object]
Row = tuple[dict[str, Any], Look, object]
"""What to write, where the component that uses it shows it, and what it shows then."""


def _of_preset(key: str, value: object) -> Row:
    return wide(**{key: value}), lambda s: getattr(s.watcher.site.presets[0], key), value


def _of_optimize(key: str, value: object) -> Row:
    return watch(optimize={key: value}), lambda s: getattr(s.watcher.site.optimize, key), value


def _of_analyze(key: str, value: bool) -> Row:
    return watch(analyze={key: value}), lambda s: getattr(s.watcher.site.analyze, key), value


TABLE: dict[str, Row] = {
    "watches.name": (watch(name="other"), lambda s: s.engine.worker.sites["other"].name, "other"),
    "watches.path": (watch(path="./elsewhere"), lambda s: Path(s.watcher.site.root).name, "elsewhere"),
    "watches.output": (watch(output="./out2"), lambda s: Path(s.watcher.site.output).name, "out2"),
    "watches.create": (watch(create=False), lambda s: s.watcher.config.create, False),
    "watches.recursive": (watch(recursive=False), lambda s: s.watcher.rules.enters(b"below"), False),
    "watches.backend": (watch(backend="polling"), lambda s: s.watcher.observer.coverage.by_events(b""), False),
    "watches.poll_interval": (watch(poll_interval="7s"), lambda s: s.watcher.agenda._schedule._poll_interval, 7),
    "watches.rescan_interval": (
        watch(rescan_interval="9m"),
        lambda s: s.watcher.agenda._schedule._rescan_interval,
        540,
    ),
    "watches.settle": (watch(settle="3s"), lambda s: s.watcher.intake._pace.settle, 3),
    "watches.settle_after_close": (watch(settle_after_close="4s"), lambda s: s.watcher.intake._pace.after_close, 4),
    "watches.include": (watch(include=["*.png"]), lambda s: s.watcher.rules.is_source(b"a.jpg"), False),
    "watches.exclude": (watch(exclude=["a*"]), lambda s: s.watcher.rules.is_source(b"a.jpg"), False),
    "watches.ignore_files": (watch(ignore_files=[".x"]), lambda s: s.watcher.rules._ignore_files, (b".x",)),
    "watches.priority": (watch(priority="high"), lambda s: s.engine.queue._rank("inbox").name, "HIGH"),
    "watches.presets": (watch(presets=["small"]), lambda s: [p.name for p in s.watcher.site.presets], ["small"]),
    "watches.optimize.enabled": (watch(optimize={"enabled": False}), lambda s: s.watcher.site.optimize, None),
    "watches.optimize.mode": _of_optimize("mode", "auto"),
    "watches.optimize.quality": _of_optimize("quality", 70),
    "watches.optimize.max_dimension": _of_optimize("max_dimension", 900),
    "watches.optimize.format": _of_optimize("format", "webp"),
    "watches.optimize.metadata": _of_optimize("metadata", "strip"),
    "watches.optimize.min_saving": (
        watch(optimize={"min_saving": "9%"}),
        lambda s: s.watcher.site.optimize.min_saving,
        0.09,
    ),
    "watches.optimize.target": _of_optimize("target", 80.0),
    "watches.optimize.sharpen": _of_optimize("sharpen", 1.0),
    "watches.optimize.contrast": _of_optimize("contrast", 0.5),
    "watches.optimize.auto_enhance": _of_optimize("auto_enhance", True),
    "watches.analyze.enabled": (watch(analyze=False), lambda s: s.watcher.site.analyze, None),
    "watches.analyze.exif": _of_analyze("exif", False),
    "watches.analyze.gps": _of_analyze("gps", True),
    "watches.analyze.pixels": _of_analyze("pixels", False),
    "watches.analyze.phash": _of_analyze("phash", False),
    "watches.analyze.placeholder": _of_analyze("placeholder", False),
    "watches.files.mode": (watch(files={"mode": "0600"}), lambda s: s.watcher.site.mode, 0o600),
    "watches.files.dir_mode": (watch(files={"dir_mode": "0700"}), lambda s: s.watcher.site.dir_mode, 0o700),
    "watches.files.mtime": (watch(files={"mtime": "now"}), lambda s: s.watcher.site.source_times, False),
    "watches.on_delete": (watch(on_delete="keep"), lambda s: s.watcher.site.keep_deleted, True),
    "watches.delete_guard.fraction": (
        watch(delete_guard={"fraction": "50%"}),
        lambda s: s.watcher.sweeper._guard.fraction,
        0.5,
    ),
    "watches.delete_guard.min": (watch(delete_guard={"min": 5}), lambda s: s.watcher.sweeper._guard.least, 5),
    "presets.width": _of_preset("width", 80),
    "presets.height": _of_preset("height", 20),
    "presets.fit": _of_preset("fit", "cover"),
    "presets.format": _of_preset("format", "webp"),
    "presets.quality": _of_preset("quality", 60),
    "presets.suffix": _of_preset("suffix", "_w"),
    "presets.background": _of_preset("background", "#112233"),
    "presets.gravity": _of_preset("gravity", "attention"),
    "presets.progressive": _of_preset("progressive", False),
    "presets.sharpen": _of_preset("sharpen", 1.0),
    "presets.contrast": _of_preset("contrast", 0.5),
    "presets.colorspace": _of_preset("colorspace", "p3"),
    "presets.hdr": _of_preset("hdr", "keep"),
    "pool.workers": (section("pool", workers=3), lambda s: (s.engine.pool.size, s.engine.balance._high), (3, 3)),
    "pool.queue_per_worker": (section("pool", queue_per_worker=2), lambda s: s.engine.queue.capacity, 64),
    "pool.memory_limit": (section("pool", memory_limit="444MB"), lambda s: s.engine.memory.limit, 444_000_000),
    "pool.job_timeout": (
        section("pool", job_timeout="5s"),
        lambda s: s.engine.oversight._settings.job_timeout,
        5,
    ),
    "pool.isolate": (
        section("pool", isolate="always"),
        lambda s: s.engine.renderer.isolates((0, b"a.jpg"), JPEG, b"a.jpg"),
        True,
    ),
    "backlog.window": (
        section("backlog", window="01:00-02:00"),
        lambda s: str(s.engine.holds.state.window),
        "01:00-02:00",
    ),
    "backlog.workers": (section("backlog", workers=1), lambda s: s.engine.queue._most_of_lane[Lane.BACKLOG], 1),
    "limits.max_pixels": (
        section("limits", max_pixels=9_000_000),
        lambda s: used(s).limits.max_pixels,
        9_000_000,
    ),
    "limits.max_bytes": (
        section("limits", max_bytes="9MB"),
        lambda s: used(s).limits.max_bytes,
        9_000_000,
    ),
    "limits.min_free": (section("limits", min_free="9MB"), lambda s: used(s).min_free, 9_000_000),
    "limits.truncated": (
        section("limits", truncated="allow"),
        lambda s: used(s).limits.lenient,
        True,
    ),
    "hooks.name": (hook(name="other"), lambda s: s.watcher.site.hooks[0].name, "other"),
    "hooks.events": (hook(events=["failed"]), lambda s: s.watcher.site.hooks[0].events, frozenset({"failed"})),
    "hooks.watches": (
        BASE
        | {
            "watches": [*BASE["watches"], {"name": "b", "path": "./b", "output": "./bout"}],
            "hooks": [BASE["hooks"][0] | {"watches": ["b"]}],
        },
        lambda s: (s.watcher.site.hooks, [*s.courier._sites]),
        ((), ["b"]),
    ),
    "hooks.run": (hook(run=["false"]), lambda s: s.courier.hook.run, ("false",)),
    "hooks.url": (hook(run=None, url="http://127.0.0.1:9/x"), lambda s: s.courier.hook.url, "http://127.0.0.1:9/x"),
    "hooks.timeout": (hook(timeout="3s"), lambda s: s.courier.hook.timeout, 3),
    "hooks.retries": (hook(retries=1), lambda s: s.courier.hook.retries, 1),
    "hooks.after": (hook(after="1s"), lambda s: s.courier.hook.after, 1),
    "hooks.secret_file": (
        hook(run=None, url="http://127.0.0.1:9/x", secret_file="./secret"),
        lambda s: s.courier.hook.secret,
        "a secret of thirty-two characters",
    ),
    "http.hosts": (
        section("http", hosts=["nas.local"]),
        lambda s: s.guard._stranger({"host": "nas.local"}, "/", "GET"),
        None,
    ),
    "http.upload_limit": (section("http", upload_limit="5MB"), lambda s: s.guard._http().upload_limit, 5_000_000),
    "http.root_path": (section("http", root_path="/photos"), lambda s: s.guard._http().root_path, "/photos"),
    "shutdown_timeout": (section("pool") | {"shutdown_timeout": "3s"}, lambda s: s.engine.config.shutdown_timeout, 3),
    "fsync": (BASE | {"fsync": True}, lambda s: s.engine.settings.fsync, True),
}
ELSEWHERE = {
    "log.level",
    "log.format",
    "http.token_file",  # the daemon's own: tests/integration/test_reload.py
    "hooks.secret",  # comes from the environment alone, which a process keeps
    "watches.layout",  # has one value yet
}


def test_every_key_says_how_it_comes_into_force_and_is_tried() -> None:
    keys = dict(reloading.keys())
    assert {key for key, restart in keys.items() if restart} == RESTART
    assert {key for key, restart in keys.items() if not restart} == TABLE.keys() | ELSEWHERE


def test_the_schema_for_editors_says_it_too() -> None:
    found = Schema.model_json_schema()
    assert found["properties"]["state"]["reload"] == "restart"
    assert found["properties"]["fsync"]["reload"] == "live"
    assert found["$defs"]["Http"]["properties"]["port"]["reload"] == "restart"
    assert found["$defs"]["Watch"]["properties"]["settle"]["reload"] == "live"


@pytest.mark.parametrize("key", TABLE)
def test_a_live_key_is_in_force_after_a_reload(seat: Seat, key: str) -> None:
    (seat.base / "secret").write_text("a secret of thirty-two characters")
    content, look, expected = TABLE[key]
    if key.startswith("presets."):
        seat.apply(watch(presets=["wide"]))
    if key == "watches.optimize.enabled":
        seat.apply(watch(optimize={"enabled": True}))
    try:
        before = look(seat)
    except (KeyError, AttributeError, ValueError):
        before = None
    assert before != expected
    seat.apply(content)
    assert look(seat) == expected
    assert seat.engine.health.problems() == {}


@pytest.mark.parametrize("key", sorted(RESTART))
def test_a_key_that_needs_a_restart_stays_and_is_named(seat: Seat, key: str) -> None:
    former = seat.engine.config
    if key == "pool.executor":
        with pytest.raises(ConfigError, match="executor"):
            seat.read(section("pool", executor="dask"))
        return
    content = {
        "state": BASE | {"state": "./moved"},
        "http.enabled": section("http", enabled=True),
        "http.host": section("http", host="127.0.0.2"),
        "http.port": section("http", port=1234),
    }[key]
    wanted = seat.read(content)
    config = reloading.in_force(former, wanted)
    assert list(reloading.changes(former, config)) == []
    assert list(reloading.changes(config, wanted)) == [key]


def test_a_reload_without_a_change_touches_nothing(seat: Seat) -> None:
    engine = seat.engine
    before = (seat.watcher, seat.watcher.site, seat.courier, engine.pool, seat.watcher.rounds.loop)
    seat.apply(BASE)
    assert before == (seat.watcher, seat.watcher.site, seat.courier, engine.pool, seat.watcher.rounds.loop)


def test_what_has_not_changed_stays_at_work(seat: Seat) -> None:
    watcher, courier = seat.watcher, seat.courier
    other = {"name": "other", "path": "./other", "output": "./other-out"}
    seat.apply(
        BASE | {"watches": [*BASE["watches"], other], "hooks": [*BASE["hooks"], BASE["hooks"][0] | {"name": "b"}]}
    )
    assert seat.watcher is watcher
    assert set(seat.engine.watchers) == {"inbox", "other"}
    assert seat.engine.couriers._couriers[0] is courier
    assert [each.name for each in watcher.site.hooks] == ["tell", "b"]
    seat.apply(BASE)
    assert seat.watcher is watcher
    assert set(seat.engine.watchers) == {"inbox"}


def test_a_watch_that_cannot_be_used_changes_nothing(seat: Seat) -> None:
    watcher = seat.watcher
    missing = {"name": "other", "path": "./missing", "output": "./other-out", "create": False}
    with pytest.raises(StartError, match="missing"):
        seat.apply(BASE | {"watches": [*BASE["watches"], missing], "limits": {"max_pixels": 5}})
    assert seat.engine.settings.limits.max_pixels != 5
    assert seat.watcher is watcher
    assert not watcher.site.retired.is_set()


def test_memory_that_shrinks_wakes_who_waits_for_too_much(seat: Seat) -> None:
    memory = seat.engine.memory
    memory.resize(400_000_000, own=100_000_000)
    refused: list[SourceError] = []

    def ask() -> None:
        try:
            with memory.hold(memory.largest):
                pass
        except SourceError as error:
            refused.append(error)

    with memory.hold(1_000_000):
        waiting = threading.Thread(target=ask)
        waiting.start()
        memory.resize(300_000_000, own=100_000_000)
        waiting.join(20)
    assert [error.reason for error in refused] == [Reason.TOO_MUCH_MEMORY]
