from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.config import checks, load, units
from hotfolder.errors import ConfigError
from tests.helpers import Place

GOOD = "watches:\n  - path: ./in\n    output: ./out\n"


def problem(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> str:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(str(file), environ or {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [\n", "not YAML"),
        ("- 1\n", "mapping of keys"),
        ("", "watches: is missing"),
        ("watches: []\n", "no watch"),
        (GOOD + "    settle: soon\n", ':4: watches[0].settle: "soon" is not a duration; allowed'),
        (GOOD + "    pressets: [small]\n", "watches[0].pressets: unknown key; did you mean presets?"),
        (GOOD + "    create: yes please\n", "watches[0].create"),
        (GOOD + "    files: {mode: 0644}\n", "in quotes"),
        (GOOD + "    name: 12\n", "is not text"),
        (GOOD + "    presets: [smal]\n", 'unknown preset "smal"; known: banner'),
        (GOOD + "    layout: sidecar\n", "does not exist yet"),
        (GOOD + "  - path: ./in\n    output: ./out2\n    name: b\n", "also the root of watches[0]"),
        (GOOD + "  - path: ./in2\n    output: ./out\n    name: b\n", "also the output of watches[0]"),
        (GOOD + "  - path: ./in2\n    output: ./out/x\n    name: b\n", "are nested"),
        ("watches: [{path: ./a, output: ./a}]\n", "own root"),
        ("watches: [{path: ./a, output: ./b/x},{path: ./b, output: ./a/y}]\n", "in a circle: a → b → a"),
        (GOOD + "presets: {big: {width: 9, height: 9, suffix: x_preview}}\n", "ends like"),
        (GOOD + "presets: {big: {width: 9, height: 9, suffix: ''}}\n", "1 to 32"),
        (GOOD + "presets: {big: {width: 9}}\n", "also needs height, suffix"),
        (GOOD + "http: {host: 0.0.0.0}\n", "give a token"),
        (GOOD + "http: {port: 99999}\n", "at most 65535"),
        (GOOD + "state: x\nstate: y\n", "stands twice"),
        (GOOD + "pool: {workers: 99}\n", "auto, or 2 to 32"),
        ("a: &x [1]\nwatches: *x\n", "aliases"),
    ],
)
def test_messages(tmp_path: Path, text: str, expected: str) -> None:
    found = problem(tmp_path, text)
    assert expected in found
    assert "c.yaml" in found


def test_all_problems_at_once_each_with_its_line(tmp_path: Path) -> None:
    lines = problem(tmp_path, GOOD + "    settle: x\nhttp: {prot: 1}\nfsync: 3\n").splitlines()
    assert [line.split(":")[1] for line in lines] == ["4", "5", "6"]


def test_chain_of_watches_is_fair(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("watches: [{path: ./a, output: ./b/x},{path: ./b, output: ./c}]\n")
    assert [watch.name for watch in load(str(file), {}).config.watches] == ["a", "b"]


def test_environment_overrides(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(GOOD)
    environ = {
        "HOTFOLDER_HTTP__PORT": "9000",
        "HOTFOLDER_WATCHES__0__PATH": "/photos",
        "HOTFOLDER_PORT": "tcp://1.2.3.4",
        "HOTFOLDER_WATCHES__0__FILES__MODE": "0600",
        "HOTFOLDER_HTTP__TOKEN": "s3cret",
    }
    found = load(str(file), environ)
    assert found.config.http.port == 9000
    assert found.config.watches[0].path == "/photos"
    assert found.config.watches[0].files.mode == 0o600
    assert found.token == "s3cret"
    assert len(found.warnings) == 1
    assert "HOTFOLDER_PORT" in found.warnings[0]
    assert "$HOTFOLDER_HTTP__PORT" in problem(tmp_path, GOOD, {"HOTFOLDER_HTTP__PORT": "many"})


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(GOOD)
    found = load(str(file), {})
    assert found.config.watches[0].path == str(tmp_path / "in")
    assert found.config.state == str(tmp_path / ".hotfolder")
    assert found.warnings == ()


def test_a_missing_extra_of_a_mode_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(GOOD.rstrip() + "\n    optimize: {mode: lossless}\n")
    assert load(str(file), {}).warnings == ()
    monkeypatch.setattr(checks, "LOSSLESS_MODULES", ("no_such_module",))
    (told,) = load(str(file), {}).warnings
    assert told.startswith(f"{file}:")
    assert "watches[0].optimize.mode" in told
    assert "hotfolder[optimize]" in told


def test_sample_loads_and_says_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(resources.files("hotfolder.config").joinpath("sample.yaml").read_text())
    sample = load(str(file), {})
    file.write_text("watches: [{path: ./inbox, output: ./renditions}]\n")
    assert sample.config == load(str(file), {}).config
    assert sample.warnings == ()


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_durations_round_trip(number: int, unit: str) -> None:
    seconds = units.duration(f"{number}{unit}")
    assert units.duration(units.show_duration(seconds)) == pytest.approx(seconds)


@given(st.integers(1, 10**14))
def test_sizes_round_trip(number: int) -> None:
    assert units.size(units.show_size(number)) == number


def test_commands(place: Place) -> None:
    assert "fine" in place.cli("config", "check").stdout
    assert "  port: " in place.cli("config", "show").stdout
    assert '"watches"' in place.cli("config", "schema").stdout
    assert place.cli("config", "init").returncode == 2
    assert place.cli("config", "init", "new.yaml").returncode == 0
    assert place.cli("config", "check", "-c", "new.yaml").returncode == 0
    (place.base / "config.yaml").write_text("nonsense: 1\n")
    for command in (["scan"], ["run"], ["config", "check"], ["status"]):
        refused = place.cli(*command)
        assert refused.returncode == 2
        assert "config.yaml" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert place.cli("scan", "-c", "missing.yaml").returncode == 2
    assert place.cli("--version").stdout.startswith("hotfolder ")


@pytest.mark.parametrize(
    ("hook", "key", "text"),
    [
        ("{name: h, events: [ready], run: [/no/such/program]}", "run", "/no/such/program does not exist"),
        ("{name: h, events: [ready], run: [no-such-program-anywhere]}", "run", "does not exist"),
        ("{name: h, events: [ready], run: [./plain]}", "run", "plain is there, but not executable"),
        ("{name: h, events: [ready], run: []}", "run", "is empty"),
        ("{name: h, events: [], run: [true]}", "events", "is empty"),
        (
            "{name: h, events: [ready, done], run: ['true']}",
            "events[1]",
            "allowed: ready, failed, removed or batch_done",
        ),
        ("{name: h, events: [ready], url: 'ftp://host/'}", "url", "allowed: http:// or https://"),
        ("{name: h, events: [ready], url: 'http://'}", "url", "allowed: http:// or https://"),
        ("{name: h, events: [ready], url: 'http://host:x/'}", "url", "is no address"),
        ("{name: h, events: [ready]}", "hooks[0]", "either run or url"),
        ("{name: h, events: [ready], run: ['true'], url: 'http://h/'}", "hooks[0]", "either run or url"),
        ("{name: 'Two Words', events: [ready], run: ['true']}", "name", "is not allowed"),
        ("{name: h, events: [ready], run: ['true'], watches: [nobody]}", "watches", 'no watch is called "nobody"'),
        ("{name: h, events: [ready], url: 'http://h/', secret: x}", "secret", "use secret_file"),
        ("{name: h, events: [ready], url: 'http://h/', secret_file: ./none}", "secret_file", "cannot be read"),
        ("{name: h, events: [ready], run: ['true'], secret_file: ./plain}", "secret_file", "needs none"),
        ("{name: h, events: [ready], run: ['true'], timeout: 0s}", "timeout", "more than nothing"),
    ],
)
def test_wrong_hooks_are_named_with_their_line(tmp_path: Path, hook: str, key: str, text: str) -> None:
    (tmp_path / "plain").write_text("text")
    found = problem(tmp_path, GOOD + f"hooks:\n  - {hook}\n")
    line = GOOD.count("\n") + 2
    assert f":{line}: hooks[0]" in found
    assert key in found
    assert text in found


def test_two_hooks_of_one_name(tmp_path: Path) -> None:
    hook = "{name: h, events: [ready], run: ['true']}"
    assert 'hooks[1].name: "h" is also the name of hooks[0]' in problem(tmp_path, GOOD + f"hooks: [{hook}, {hook}]\n")


def test_a_hooks_secret_comes_from_a_file_or_the_environment_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    (tmp_path / "secret").write_text("from-file\n")
    file.write_text(GOOD + "hooks:\n  - {name: h, events: [ready], url: 'https://h/', secret_file: secret}\n")
    assert load(str(file), {}).config.hooks[0].secret == "from-file"
    found = load(str(file), {"HOTFOLDER_HOOKS__0__SECRET": "12345"}).config
    assert found.hooks[0].secret == "12345"
    assert "12345" not in repr(found) + found.model_dump_json()


@pytest.mark.parametrize(
    "window", ["22:00", "'22:00-22:00'", "'24:00-06:00'", "'22:00-6:00'", "22", "[1, 2]", "'night'", "true"]
)
def test_a_window_has_two_times_of_day(tmp_path: Path, window: str) -> None:
    found = problem(tmp_path, GOOD + f"backlog: {{window: {window}}}\n")
    assert f":{GOOD.count(chr(10)) + 1}: backlog.window" in found
    assert "window" in found.partition("backlog.window: ")[2]


def test_a_window_is_shown_as_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(GOOD + "backlog: {window: 22:00-06:00, workers: 1}\n")
    found = load(str(file), {})
    assert found.config.model_dump(mode="json")["backlog"] == {"window": "22:00-06:00", "workers": 1}
    assert found.warnings == ()
    assert "backlog.workers" in problem(tmp_path, GOOD + "backlog: {workers: 0}\n")
