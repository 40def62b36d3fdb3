"""How commands end when their output, their surroundings or their user end them: one line and a status, for all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import pytest
from typer.main import get_command

from hotfolder.cli.app import build
from hotfolder.cli.importing import importing
from tests.helpers import Daemon, Place, jpeg, wait_for

ARGUMENTS: dict[str, list[str]] = {
    "process": ["inbox/good.jpg", "--to", "made"],
    "wait": ["inbox/good.jpg"],
    "why": ["inbox/good.jpg"],
    "analyze": ["inbox"],
    "bench": ["empty"],
    "hooks test": ["told"],
    "cache clear": ["--yes"],
    "config init": ["-"],
}
"""What a command needs to do something; one that is not named here is run without."""
ALONE = {"run"}
"""Does not end by itself; has tests of its own."""
START = [sys.executable, "-c", "from hotfolder.cli import main; main()"]
STATUSES = {0, 1, 2, 3, 4, 124, 130}
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []
"""For root, modes of files are nothing; without these capabilities they are what they are for everybody."""
HOOK = "hooks: [{name: told, events: [ready], run: [/bin/true]}]\nlimits: {max_pixels: 100k}"
SMALL = "    presets: [small]\n    optimize: {enabled: false}"


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    below = getattr(command, "commands", None)
    if not below:
        yield path
        return
    for name, each in below.items():
        yield from leaves(each, (*path, name))


COMMANDS = [each for each in leaves(get_command(build())) if each[0] not in ALONE]


@pytest.fixture
def filled(place: Place) -> Place:
    place.configure(HOOK, SMALL)
    (place.base / "empty").mkdir()
    place.put("good.jpg", jpeg())
    place.put(b"bad\xff\n.jpg", jpeg(500, 400))
    assert place.scan().returncode == 1
    return place


def run_all(
    place: Place, environ: dict[str, str] | None = None, wrapper: Sequence[str] = (), **options: Any
) -> dict[str, tuple[int, str]]:
    """The status and stderr of each command, one after the other: some need the state folder for themselves."""

    def run_one(command: tuple[str, ...]) -> tuple[int, str]:
        arguments = [*command, *ARGUMENTS.get(" ".join(command), [])]
        kept = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options
        done: subprocess.CompletedProcess[Any] = subprocess.run(
            [*wrapper, *START, *arguments],
            check=False,
            cwd=place.base,
            timeout=120,
            stdin=subprocess.DEVNULL,
            env=place.environment() if environ is None else environ,
            **kept,
        )
        return done.returncode, (done.stderr or b"").decode("utf-8", "replace")

    return {" ".join(each): run_one(each) for each in COMMANDS}


def check(found: dict[str, tuple[int, str]]) -> None:
    assert len(found) >= 24
    for name, (status, text) in found.items():
        assert status in STATUSES, (name, status, text)
        assert "Traceback" not in text, (name, text)
        assert "Exception ignored" not in text, (name, text)
        assert "\udcff" not in text


def test_stdout_that_is_full(filled: Place) -> None:
    with open("/dev/full", "wb") as full:
        found = run_all(filled, stdout=full)
    check(found)
    silent = {"failures retry", "wait", "events", "status", "analyze", "bench", "duplicates", "blurred"}
    for name, (status, text) in found.items():
        if name not in silent:
            assert (status, "cannot be written: No space left on device" in text) == (4, True), (name, status, text)


def test_stdout_whose_reader_has_gone(filled: Place) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        check(found := run_all(filled, stdout=theirs))
    finally:
        os.close(theirs)
    assert {name: status for name, (status, _) in found.items() if status in (4, 130, 141)} == {}


def test_streams_that_are_closed(filled: Place) -> None:
    """Nothing that is opened afterwards may get the number of stdout."""
    closed = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *START]
    index = (filled.base / ".hotfolder/index.db").read_bytes()[:16]
    for command in (
        ["failures"],
        ["cache", "export"],
        ["presets"],
        ["scan"],
        ["analyze", "inbox", "--csv"],
        ["config", "show"],
        ["duplicates", "-0"],
        ["failures", "list", "-0"],
    ):
        done = subprocess.run([*closed, *command], check=False, cwd=filled.base, env=filled.environment(), timeout=60)
        assert done.returncode in (0, 1), command
    assert (filled.base / ".hotfolder/index.db").read_bytes()[:16] == index


def test_stderr_that_is_full(filled: Place) -> None:
    with open("/dev/full", "wb") as full:
        check(run_all(filled, stderr=full))


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_terminals_that_lack_letters(filled: Place, encoding: str) -> None:
    environ = filled.environment() | {
        "PYTHONIOENCODING": encoding,
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    for command in (["failures"], ["presets"], ["hooks"], ["why", "inbox/good.jpg"], ["doctor"], ["analyze", "inbox"]):
        done = subprocess.run(
            [*START, *command], check=False, cwd=filled.base, env=environ, capture_output=True, timeout=60
        )
        assert (done.returncode in (0, 1), b"Traceback" in done.stderr) == (True, False), (command, done)


def test_status_in_a_latin_1_locale(filled: Place, run: Callable[[Place], Daemon]) -> None:
    run(filled)
    environ = filled.environment() | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [*START, "status"], check=False, cwd=filled.base, env=environ, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr, b"inbox" in done.stdout) == (0, b"", True), done


def test_without_a_home(filled: Place) -> None:
    environ = {key: value for key, value in filled.environment().items() if key not in ("HOME", "USER", "LOGNAME")}
    check(run_all(filled, environ | {"XDG_CACHE_HOME": "/nowhere"}))


@pytest.mark.parametrize("wrong", ["a folder", "unreadable", "missing", "no YAML"])
def test_a_configuration_that_cannot_be_read(filled: Place, wrong: str) -> None:
    file = filled.base / "config.yaml"
    wrapper: Sequence[str] = ()
    if wrong == "no YAML":
        file.write_text("watches: [\n")
    else:
        file.unlink()
    if wrong == "a folder":
        file.mkdir()
    if wrong == "unreadable":
        file.write_text("")
        file.chmod(0)
        wrapper = UNPRIVILEGED
    found = run_all(filled, wrapper=wrapper)
    check(found)
    without = {"process", "presets", "analyze", "duplicates", "blurred", "bench", "config init", "config schema"}
    for name, (status, text) in found.items():
        if name not in without:
            assert (status, text.startswith("hotfolder: "), text.count("\n")) == (2, True, 1), (name, status, text)


def test_a_state_that_may_not_be_written(filled: Place) -> None:
    state = filled.base / ".hotfolder"
    for path in (state, *state.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    found = run_all(filled, wrapper=UNPRIVILEGED)
    check(found)
    for name in ("pause", "resume", "cache clear", "cache gc", "hooks retry", "scan"):
        status, text = found[name]
        assert (status, "is not writable by this user" in text) == (3, True), (name, status, text)
    for name in ("failures list", "hooks list", "cache stats", "cache export", "why", "duplicates"):
        assert found[name] == (0, ""), name


def test_a_report_that_cannot_be_written(filled: Place) -> None:
    for target, said in (("nowhere/report.html", "No such file"), ("inbox", "Is a directory")):
        done = filled.cli("analyze", "inbox", "--html", target)
        assert (done.returncode, said in done.stderr, done.stderr.count("\n")) == (2, True, 1), done
    done = filled.cli("analyze", "inbox/good.jpg", "--html", "/dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done
    (filled.base / "report.html").write_text("a longer former report" * 10_000)
    assert filled.cli("analyze", "inbox/good.jpg", "--html", "report.html").returncode == 0
    assert (filled.base / "report.html").read_text().rstrip().endswith("</html>")


def without_reader(place: Place, command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """The command, into a pipe that nobody reads from any more."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        return subprocess.run(
            [*START, *command],
            check=False,
            cwd=place.base,
            env=place.environment(),
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    finally:
        os.close(theirs)


def test_work_goes_on_without_a_reader(filled: Place) -> None:
    filled.put("two.jpg", jpeg(seed=2))
    done = without_reader(filled, ["process", "inbox/good.jpg", "inbox/two.jpg", "--to", "made", "--preset", "small"])
    assert (done.returncode, done.stderr) == (0, b"")
    assert {path.name for path in (filled.base / "made").iterdir()} == {"good_thumb_small.jpg", "two_thumb_small.jpg"}


@pytest.mark.parametrize("command", [["presets"], ["analyze", "inbox/good.jpg"], ["cache", "stats"], ["duplicates"]])
def test_a_reader_that_has_gone_is_no_failure(filled: Place, command: list[str]) -> None:
    """`hotfolder presets | head -1` under pipefail."""
    done = without_reader(filled, command)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", ["lock", "inflight"])
@pytest.mark.parametrize("command", ["scan", "run"])
def test_a_state_folder_that_cannot_serve_is_named(place: Place, name: str, command: str) -> None:
    (place.base / ".hotfolder" / name).mkdir(parents=True)
    done = place.cli(command)
    assert done.returncode == 3, done
    assert f".hotfolder/{name}: Is a directory; move it away, or name another `state`" in done.stderr


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------

AT_IMPORT = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
"""
IMPORTED = (
    "hotfolder.telemetry.logs hotfolder.cli.ending typer typer.core rich pydantic pydantic_core yaml "
    "hotfolder.cli.app hotfolder.cli.why hotfolder.config.schema hotfolder.services.offline sqlite3 numpy "
    "PIL.Image hotfolder.telemetry.metrics http.client hotfolder.services.why"
).split()


def test_ctrl_c_while_it_is_imported(filled: Place) -> None:
    filled.hook(AT_IMPORT)

    def interrupted(module: str) -> tuple[str, int, str]:
        environ = filled.environment() | {"INTERRUPT_AT": module}
        done = subprocess.run(
            [*START, "why", "inbox/good.jpg"],
            check=False,
            cwd=filled.base,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return module, done.returncode, done.stderr

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(interrupted, IMPORTED))
    assert [each for each in found if each[1] not in (0, 130) or each[2]] == []
    assert len([each for each in found if each[1] == 130]) >= len(IMPORTED) - 4  # some may not be needed any more


def test_after_its_imports_ctrl_c_is_the_commands_own_again() -> None:
    former = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with importing():
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with pytest.raises(ImportError), importing():
            raise ImportError
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)


@pytest.mark.parametrize("command", ["events", "wait inbox/never.jpg", "scan"])
def test_ctrl_c_while_it_waits(filled: Place, run: Callable[[Place], Daemon], command: str) -> None:
    daemon = run(filled)
    if command == "scan":
        assert filled.cli("pause").returncode == 0
        filled.put("late.jpg", jpeg(seed=9))
    asked = {"events": "/api/events", "scan": "/api/rescan"}.get(command, "/api/wait")
    if command.startswith("wait"):
        filled.configure(HOOK, SMALL + "\n    settle_after_close: 1h")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log("config_applied")
        filled.put("never.jpg", jpeg(seed=8))
    process = subprocess.Popen(
        [*START, *command.split()],
        cwd=filled.base,
        env=filled.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def is_asked() -> bool:
        assert process.poll() is None, process.communicate()
        if command == "events":
            return daemon.metric("hotfolder_websocket_clients") > 0 or b"control.sock" in sockets(process)
        return f'route="{asked}"' in daemon.get("/metrics").decode() or b"control.sock" in sockets(process)

    wait_for("the question", is_asked, context=daemon.text)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (130, False), said


def sockets(process: subprocess.Popen[str]) -> bytes:
    """Says control.sock where the process holds a socket: it has connected."""
    try:
        held = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd")]
    except OSError:
        return b""
    return b"control.sock" if any(each.startswith("socket:") for each in held) else b""


def test_run_ends_in_order_whatever_its_streams_are(filled: Place) -> None:
    for stream in ("/dev/full", None):
        target: IO[bytes] | int = open(stream, "wb") if stream else subprocess.DEVNULL  # noqa: SIM115
        process = subprocess.Popen(
            [*START, "run"], cwd=filled.base, env=filled.environment(), stdout=target, stderr=target
        )
        try:
            wait_for("the daemon", lambda: filled.cli("status").returncode == 0)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
