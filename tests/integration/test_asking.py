"""The command line beside a daemon that is unwell, and without one: it answers all the same, and changes nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from hotfolder.store.lock import StateLock
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
SMALL = "    presets: [small]\n    optimize: {enabled: false}\n    analyze: {phash: true}"
LISTS = [
    ["failures"],
    ["failures", "list", "--json"],
    ["hooks"],
    ["why", "inbox/good.jpg"],
    ["why", "inbox/late.jpg", "--json"],
    ["why", "inbox/gone.jpg"],
    ["cache", "verify"],
    ["scan", "--dry-run"],
]
READING = [
    *LISTS,
    ["failures", "list", "-0"],
    ["cache", "stats"],
    ["cache", "export"],
    ["duplicates"],
    ["blurred", "--json"],
    ["analyze", "inbox"],
    ["presets"],
    ["doctor"],
    ["status"],
    ["wait", "inbox/good.jpg"],
    ["failures", "retry", "inbox/typo.jpg"],
    ["scan", "inbox/typo.jpg"],
]
UNWELL = "from hotfolder.health import Health; Health.problems = lambda self: {'hotfolder-feeder': 'has ended'}"
HOOK = "hooks: [{name: told, events: [ready], run: [/bin/true]}]\nlimits: {max_pixels: 100k}"


def tree(*places: Path) -> dict[str, tuple[int, int, int, str]]:
    """Every file with its size, times and content."""
    found = {}
    for place in places:
        for path in [place, *sorted(place.rglob("*"))]:
            is_ = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = (is_.st_size, is_.st_mtime_ns, is_.st_ino, content)
    return found


def state(place: Place) -> Path:
    return place.base / ".hotfolder"


@pytest.fixture
def waiting(place: Place) -> Place:
    """An index with one image of each kind: made, in quarantine, too large for the memory that there was, waiting."""
    place.configure(HOOK, SMALL)
    for name in ("good.jpg", "late.jpg", "gone.jpg", "huge.jpg"):
        place.put(name, jpeg(seed=sum(name.encode())))
    place.put("big.jpg", jpeg(500, 400))
    assert place.scan().returncode == 1
    with sqlite3.connect(state(place) / "index.db") as index:
        index.execute("UPDATE source SET state = 0, made = '', retry_at = 0 WHERE name = CAST('late.jpg' AS BLOB)")
        index.execute("UPDATE source SET state = 2, made = '' WHERE name = CAST('huge.jpg' AS BLOB)")
        index.execute(
            "INSERT INTO failure SELECT id, 'too_much_memory', 'it needs 9 GB', 'x 1', 1, 1, 1 FROM source "
            "WHERE name = CAST('huge.jpg' AS BLOB)"
        )
    index.close()
    (place.inbox / "gone.jpg").unlink()
    return place


def ask(place: Place, commands: list[list[str]]) -> dict[str, subprocess.CompletedProcess[str]]:
    with ThreadPoolExecutor(3) as pool:
        answers = pool.map(lambda command: place.cli(*command), commands)
        return {" ".join(command): answer for command, answer in zip(commands, answers, strict=True)}


def check_answers(answers: dict[str, subprocess.CompletedProcess[str]]) -> None:
    for name, answer in answers.items():
        assert "Traceback" not in answer.stderr, (name, answer.stderr)
        assert "{" not in answer.stderr, (name, answer.stderr)
        others = {"status": (3,), "wait inbox/good.jpg": (3,), "doctor": (0, 1), "analyze inbox": (1,)}
        expected = (2,) if "typo" in name else others.get(name, (0,))
        assert answer.returncode in expected, (name, answer)
    listed = {
        os.path.basename(each["path"]): each["reason"] for each in json.loads(answers["failures list --json"].stdout)
    }
    assert listed == {"big.jpg": "too_many_pixels", "huge.jpg": "too_much_memory"}
    assert "all renditions are made" in answers["why inbox/good.jpg"].stdout
    late = json.loads(answers["why inbox/late.jpg --json"].stdout)
    assert (late["state"], late["next"]) == ("pending", "hotfolder scan, or start: hotfolder run")
    assert "there is no file" in answers["why inbox/gone.jpg"].stdout
    assert "told: ready" in answers["hooks"].stdout
    assert "1 to make" in answers["scan --dry-run"].stdout


def test_asking_without_a_daemon_changes_nothing(waiting: Place) -> None:
    before = tree(state(waiting), waiting.out, waiting.inbox)
    answers = ask(waiting, READING)
    assert tree(state(waiting), waiting.out, waiting.inbox) == before
    check_answers(answers)


@contextmanager
def writing(place: Place) -> Iterator[sqlite3.Connection]:
    """As a scan in the middle of its work: the lock is held, and what was committed stands in the log alone."""
    lock = StateLock(str(state(place)))
    lock.acquire()
    index = sqlite3.connect(state(place) / "index.db", isolation_level=None)
    try:
        index.execute("PRAGMA wal_autocheckpoint = 0")
        index.execute("UPDATE failure SET message = 'said in the log'")
        yield index
    finally:
        index.close()
        lock.release()


def test_asking_beside_a_running_scan(waiting: Place) -> None:
    with writing(waiting):
        before = tree(state(waiting), waiting.out, waiting.inbox)
        answers = ask(waiting, LISTS)
        assert tree(state(waiting), waiting.out, waiting.inbox) == before
        refused = waiting.cli("pause")
        assert (refused.returncode, f"pid {os.getpid()}" in refused.stderr) == (3, True), refused.stderr
    check_answers(answers)
    assert "said in the log" in answers["failures"].stdout


def test_asking_after_a_kill_leaves_the_log_as_it_is(waiting: Place, tmp_path: Path) -> None:
    """What a killed process left in its log is read, and not yet put into the file."""
    kept = tmp_path / "kept"
    kept.mkdir()
    with writing(waiting):
        for name in ("index.db", "index.db-wal", "index.db-shm"):
            (kept / name).write_bytes((state(waiting) / name).read_bytes())
    for name in ("index.db", "index.db-wal", "index.db-shm"):
        (state(waiting) / name).write_bytes((kept / name).read_bytes())
    before = tree(state(waiting), waiting.out, waiting.inbox)
    answers = ask(waiting, LISTS)
    assert tree(state(waiting), waiting.out, waiting.inbox) == before
    check_answers(answers)
    assert "said in the log" in answers["failures"].stdout


def test_changing_without_a_daemon_renders_nothing(waiting: Place) -> None:
    before = tree(waiting.out, waiting.inbox)
    for command in (["pause"], ["resume"], ["hooks", "retry"], ["cache", "gc"]):
        done = waiting.cli(*command)
        assert done.returncode == 0, (command, done.stderr)
    assert tree(waiting.out, waiting.inbox) == before
    assert {each["reason"] for each in waiting.failures()} == {"too_many_pixels", "too_much_memory"}


def test_what_is_not_there_yet_is_said(place: Place) -> None:
    before = tree(place.base)
    for command in (["failures"], ["hooks"], ["cache", "stats"], ["cache", "verify"], ["cache", "export"]):
        found = place.cli(*command)
        assert (found.returncode, "no index yet" in found.stderr) == (0, True), (command, found.stderr)
    assert place.cli("duplicates").returncode == 2
    assert json.loads(place.cli("failures", "list", "--json").stdout) == []
    assert tree(place.base) == before


def test_an_index_that_cannot_be_read_is_one_line(waiting: Place) -> None:
    file = state(waiting) / "index.db"
    content = file.read_bytes()
    for damaged, status in ((b"no database at all" * 500, 4), (content[:8192] + b"\xff" * (len(content) - 8192), 4)):
        file.write_bytes(damaged)
        for command in (["failures"], ["cache", "stats"], ["duplicates"], ["why", "inbox/good.jpg"]):
            found = waiting.cli(*command)
            assert "Traceback" not in found.stderr, found.stderr
            assert (found.returncode, found.stderr.count("\n")) == (status, 1), (command, found.stderr)
            assert "index.db" in found.stderr
    file.write_bytes(content)
    with sqlite3.connect(file) as index:
        index.execute("PRAGMA user_version = 99")
    index.close()
    found = waiting.cli("failures")
    assert (found.returncode, "version 99" in found.stderr) == (3, True)


# -- beside a daemon ---------------------------------------------------------------------------------------------------


def test_a_daemon_that_is_unwell_is_asked_all_the_same(place: Place, run: Run) -> None:
    place.configure(HOOK, SMALL)
    place.hook(UNWELL)
    daemon = run(place)
    place.put("good.jpg", jpeg())
    place.put("big.jpg", jpeg(500, 400))
    daemon.wait_renditions({"thumbnails/good_thumb_small.jpg"})
    daemon.wait_metric("hotfolder_jobs_total", 1, watch="inbox", result="failed")
    commands = [
        ["why", "inbox/good.jpg"],
        ["failures"],
        ["pause"],
        ["resume"],
        ["cache", "stats"],
        ["cache", "verify"],
        ["cache", "gc"],
        ["hooks"],
        ["hooks", "retry"],
        ["hooks", "test", "told"],
        ["status"],
        ["wait", "inbox/good.jpg"],
        ["scan"],
        ["scan", "--dry-run"],
        ["failures", "retry"],
    ]
    for command in commands:
        done = place.cli(*command)
        assert (done.returncode, done.stderr) == (1 if command == ["scan"] and done.returncode else 0, ""), (
            command,
            done,
        )
    assert place.cli("why", "inbox/typo.jpg").returncode == 2


def test_a_socket_without_a_listener_is_no_daemon(waiting: Place) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(state(waiting) / "control.sock"))
    assert "too_many_pixels" in waiting.cli("failures").stdout
    for command in (["status"], ["wait", "inbox/good.jpg"], ["events"]):
        found = waiting.cli(*command)
        assert (found.returncode, "no daemon runs" in found.stderr) == (3, True), (command, found)
    assert waiting.cli("pause").returncode == 0
    assert waiting.scan().returncode == 0


def test_a_daemon_that_is_stopped_is_told_from_none(place: Place, run: Run) -> None:
    daemon = run(place)
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        commands = [["failures"], ["status"], ["events"], ["cache", "verify"], ["scan"]]
        for name, found in ask(place, commands).items():
            assert found.returncode == 3, (name, found)
            assert "did not answer" in found.stderr, (name, found.stderr)
            assert f"pid {daemon.process.pid}" in found.stderr
            assert found.stderr.count("\n") == 1
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def test_an_answer_that_is_no_json_is_a_sentence(place: Place, run: Run) -> None:
    """Where too many ask, the server says so in plain text."""
    run(place)
    crowd = []
    try:
        for _ in range(210):
            each = socket.socket(socket.AF_UNIX)
            each.connect(str(state(place) / "control.sock"))
            crowd.append(each)

        def refused() -> subprocess.CompletedProcess[str] | None:
            found = place.cli("failures")
            return found if found.returncode else None

        found = wait_for("a refusal", refused)
        assert (found.returncode, "(503)" in found.stderr, found.stderr.count("\n")) == (4, True, 1), found
    finally:
        for each in crowd:
            each.close()


def test_a_daemon_that_dies_ends_a_scan_with_a_sentence(place: Place, run: Run) -> None:
    daemon = run(place)
    assert place.cli("pause").returncode == 0
    place.put("a.jpg", jpeg())
    with ThreadPoolExecutor(1) as pool:
        scan = pool.submit(place.scan)
        wait_for("the scan to be known", lambda: json.loads(daemon.get("/api/jobs")), context=daemon.text)
        daemon.stop(signal.SIGKILL)
        found = scan.result(60)
    assert found.returncode == 4, found
    assert "Traceback" not in found.stderr
    assert "before the scan" in found.stderr


# -- what is meant -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("living", [True, False])
def test_what_means_nothing_is_wrong_usage(waiting: Place, run: Run, living: bool) -> None:
    if living:
        run(waiting)
    (waiting.base / "other").mkdir()
    wrong = {
        ("scan", "inbox/typo.jpg"): "typo.jpg: there is no such file",
        ("scan", "typo"): "lies below no watched root; those are",
        ("scan", "other"): "lies below no watched root",
        ("scan", "inbox/good.jpg", "inbox/typo.jpg"): "typo.jpg: there is no such file",
        ("scan", "--dry-run", "inbox/typo"): "there is no such file",
        ("scan", "--watch", "typo"): "no watch is called typo; known: inbox",
        ("failures", "retry", "inbox/typo.jpg"): "there is no such file",
        ("failures", "retry", "typo"): "lies below no watched root",
        ("why", "inbox/typo.jpg"): "there is no such file",
        ("why", "inbox/typo"): "there is no such file",
        ("why", "inbox/good.jpg/typo.jpg"): "there is no such file",
        ("why", "typo"): "lies below no watched root",
        ("pause", "--watch", "typo"): "no watch is called typo",
        ("resume", "--watch", "typo"): "no watch is called typo",
        ("pause", "--lane", "typo"): "'typo' is not one of",
        ("hooks", "test", "typo"): "no hook is called typo; known: told",
        ("hooks", "retry", "typo"): "no hook is called typo; known: told",
        ("process", "inbox/good.jpg", "--to", "x", "--preset", "typo"): 'unknown preset "typo"',
        ("wait", "--timeout", "typo", "inbox/good.jpg"): '--timeout: "typo" is not a duration',
        ("bench", "typo"): "typo",
        ("-c", "typo"): "No such option",
        ("scan", "-c", "typo"): "typo: No such file",
    }
    if living:
        wrong = {each: text for each, text in wrong.items() if each[0] in ("scan", "failures", "why")} | {
            ("wait", "typo"): "lies below no watched root",
            ("events", "--topics", "typo"): "topics are pipeline, jobs, state, not typo",
        }
    for name, found in ask(waiting, [list(each) for each in wrong]).items():
        expected = wrong[tuple(name.split(" "))]
        assert found.returncode == 2, (name, found)
        assert expected in found.stderr, (name, found.stderr)


def test_what_is_gone_and_known_is_no_typo(waiting: Place) -> None:
    assert waiting.cli("why", "inbox/gone.jpg").returncode == 0
    assert waiting.cli("failures", "retry", "inbox/gone.jpg").returncode == 0
    waiting.put("sub/deep.jpg", jpeg(seed=99))
    assert waiting.scan().returncode == 0
    (waiting.inbox / "sub/deep.jpg").unlink()
    (waiting.inbox / "sub").rmdir()
    done = waiting.scan("inbox/sub")
    assert done.returncode == 0, done


def test_what_is_missing_is_noted_unless_a_scan_holds_the_lock(waiting: Place) -> None:
    (waiting.out / "thumbnails/good_thumb_small.jpg").unlink()
    with writing(waiting):
        found = waiting.cli("cache", "verify")
        assert (found.returncode, "is not noted: another hotfolder" in found.stderr) == (1, True), found
    assert waiting.cli("cache", "verify").returncode == 1
    waiting.scan()
    assert "thumbnails/good_thumb_small.jpg" in waiting.renditions()


def test_a_path_of_another_watch_is_wrong_usage(place: Place) -> None:
    second = "  - path: ./second\n    output: ./out2\n"
    place.configure(watch=second)
    (place.base / "second").mkdir()
    found = place.scan("--watch", "inbox", "second")
    assert (found.returncode, "belongs to the watch second, not to inbox" in found.stderr) == (2, True), found


# -- names are bytes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("living", [True, False])
def test_names_that_are_no_text(place: Place, run: Run, living: bool) -> None:
    place.configure(
        "limits: {max_pixels: 100k}\nhooks: [{name: told, events: [ready], run: [/bin/false], retries: 0}]", SMALL
    )
    good, big = b"bad\xff\xe9.jpg", b"big\xff.jpg"
    if living:
        daemon = run(place)
    place.put(good, jpeg())
    place.put(big, jpeg(500, 400))
    inbox = os.fsencode(place.inbox)

    def cli(*arguments: str | bytes) -> subprocess.CompletedProcess[bytes]:
        command = [os.fsencode(each) if isinstance(each, str) else each for each in arguments]
        return subprocess.run(
            [os.fsencode(sys.executable), b"-c", b"from hotfolder.cli import main; main()", *command],
            check=False,
            cwd=place.base,
            capture_output=True,
            timeout=60,
            env=place.environment(),
        )

    scan = cli("scan", inbox + b"/" + good, inbox + b"/" + big)
    assert scan.returncode == (1 if not living else scan.returncode), scan
    if living:
        daemon.wait_metric("hotfolder_jobs_total", 1, watch="inbox", result="failed")
        waited = cli("wait", inbox + b"/" + good)
        assert waited.stdout == os.fsencode(place.out) + b"/thumbnails/bad\xff\xe9_thumb_small.jpg\n", waited
        failed = cli("wait", inbox + b"/" + big)
        assert (failed.returncode, b"big\\xff.jpg: " in failed.stderr) == (1, True), failed
    why = cli("why", inbox + b"/" + good)
    assert (why.returncode, b"bad\\xff\\xe9.jpg: all renditions are made" in why.stdout) == (0, True), why
    found = json.loads(cli("why", "--json", inbox + b"/" + good).stdout)
    assert found["path"].endswith("bad\\xff\\xe9.jpg")
    assert base64.b64decode(found["path_b64"]) == inbox + b"/" + good
    assert cli("failures", "list", "-0").stdout == inbox + b"/" + big + b"\0"
    assert b"big\\xff.jpg: too_many_pixels" in cli("failures").stdout
    retried = cli("failures", "retry", inbox + b"/" + big)
    assert (b"1 to be tried again" if living else b"1 tried again, 1 failed") in retried.stdout, retried
    typo = cli("why", inbox + b"/typo\xfe.jpg")
    assert (typo.returncode, b"typo\\xfe.jpg: there is no such file" in typo.stderr) == (2, True), typo
    outside = cli("why", b"/typo\xfe.jpg")
    assert (outside.returncode, b"typo\\xfe.jpg: lies below no watched root" in outside.stderr) == (2, True), outside
    dry = cli("scan", "--dry-run", inbox + b"/" + good)
    assert (dry.returncode, b"Traceback" in dry.stderr) == (0, False), dry
    hooks = cli("hooks", "list", "--json")
    assert (hooks.returncode, b"Traceback" in hooks.stderr) == (0, False), hooks
    processed = cli("process", inbox + b"/" + good, "--to", "made", "--preset", "small")
    assert (processed.returncode, b"bad\\xff\\xe9.jpg" in processed.stdout) == (0, True), processed
