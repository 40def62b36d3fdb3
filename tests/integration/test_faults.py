"""Errors of the system, call by call and number by number: who pays, who waits, and that another watch goes on."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hotfolder import faults
from hotfolder.config import load
from hotfolder.engine import Engine
from hotfolder.errors import Owner, Reason
from hotfolder.faults import Operation
from hotfolder.model import Job, Result
from hotfolder.outcome import Outcome
from hotfolder.pipeline.claims import Claims
from hotfolder.renderers.picture import Picture
from hotfolder.store import outputs
from hotfolder.watcher.request import Request
from tests.helpers import jpeg, wait_for

ALL = sorted(errno.errorcode)
UNSPEAKABLE = ("EILSEQ", "EINVAL", "ENAMETOOLONG", "ENOENT")


@pytest.mark.parametrize("operation", list(Operation))
def test_every_error_has_an_owner_and_a_reason_of_his(operation: Operation) -> None:
    owners = {
        Operation.READ: {Owner.IMAGE, Owner.ROOT, Owner.MACHINE},
        Operation.REACH: {Owner.ROOT, Owner.MACHINE},
        Operation.NAME: {Owner.NAME, Owner.OUTPUT, Owner.MACHINE},
        Operation.ALLOW: {Owner.NAME, Owner.OUTPUT, Owner.MACHINE},
        Operation.WRITE: {Owner.OUTPUT, Owner.MACHINE},
        Operation.START: {Owner.MACHINE},
    }
    found = {number: faults.owner(number, operation) for number in (None, 0, *ALL)}
    assert set(found.values()) == owners[operation]
    for name in ("ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "ENODEV"):
        assert found[getattr(errno, name)] not in (Owner.IMAGE, Owner.NAME)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO"):
        assert found[getattr(errno, name)] is not Owner.NAME
    assert (found[errno.EACCES] is Owner.NAME) == (operation is Operation.ALLOW)
    for number, owner in found.items():
        assert faults.reason(number, operation).owner is owner
        assert faults.reason(number, operation).innocent is (owner in (Owner.OUTPUT, Owner.ROOT, Owner.MACHINE))


def row(call: str, reason: Reason | None, *names: str) -> list[Any]:
    return [pytest.param(call, getattr(errno, name), reason, id=f"{call}-{name}") for name in names]


CASES = [
    *row("open source", Reason.NO_PERMISSION, "EACCES"),
    *row("open source", Reason.IO_ERROR, "EIO"),
    *row("open source", Reason.UNREACHABLE, "ESTALE"),
    *row("open source", Reason.SHORTAGE, "EMFILE"),
    *row("read source", Reason.IO_ERROR, "EIO"),
    *row("read source", Reason.UNREACHABLE, "ENOTCONN"),
    *row("open root", Reason.UNREACHABLE, "EIO"),
    *row("open root", Reason.SHORTAGE, "EMFILE"),
    *row("open output", Reason.OUTPUT_ERROR, "EACCES", "ENOENT"),
    *row("open output", Reason.SHORTAGE, "EMFILE"),
    *row("statvfs", Reason.OUTPUT_ERROR, "ENOTCONN"),
    *row("mkdir", Reason.BAD_NAME, *UNSPEAKABLE),
    *row("mkdir", Reason.NAME_TAKEN, "ENOTDIR"),
    *row("mkdir", Reason.OUTPUT_ERROR, "ENOSPC"),
    *row("mkdir", Reason.WRITE_PROTECTED, "EACCES"),
    *row("mkdir area", Reason.OUTPUT_ERROR, "EACCES"),
    *row("mkdir area", Reason.OUTPUT_ERROR, "EINVAL", "ENOTDIR"),
    *row("create", Reason.OUTPUT_ERROR, "EROFS", "EINVAL"),
    *row("create", Reason.OUTPUT_ERROR, "EACCES"),
    *row("create", Reason.SHORTAGE, "ENFILE"),
    *row("create below", Reason.WRITE_PROTECTED, "EPERM", "EACCES"),
    *row("write", Reason.OUTPUT_ERROR, "ENOSPC", "EIO"),
    *row("write", Reason.SHORTAGE, "ENOMEM"),
    *row("fsync", Reason.OUTPUT_ERROR, "EIO"),
    *row("fsync", None, "EINVAL"),
    *row("rename", Reason.BAD_NAME, "EILSEQ", "ENOENT"),
    *row("rename", Reason.NAME_TAKEN, "EISDIR"),
    *row("rename", Reason.BUSY, "EBUSY"),
    *row("rename", Reason.WRITE_PROTECTED, "EPERM", "EACCES"),
    *row("rename", Reason.OUTPUT_ERROR, "EDQUOT"),
    *row("utime", None, "EPERM", "EIO"),
    *row("chmod", None, "EPERM", "EIO"),
]
"""One number of each kind for each call; that the others are of their kind is told by the test above."""

Call = Callable[..., Any]


def where(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")


def on_worker() -> bool:
    """Not on the thread that walks, which looks for the root itself."""
    return "reconcile" not in threading.current_thread().name


def spoil(patch: pytest.MonkeyPatch, base: Path, call: str, number: int) -> None:
    """Let this call, on what belongs to the first watch, fail from now on."""
    root, output, real = str(base / "inbox"), str(base / "out"), os.open

    def fails(module: Any, name: str, matches: Call) -> None:
        former = getattr(module, name)

        def failing(*args: Any, **keys: Any) -> Any:
            if matches(*args, **keys):
                raise OSError(number, os.strerror(number), *([args[0]] if name == "open" else []))
            return former(*args, **keys)

        patch.setattr(module, name, failing)

    def beneath(fd: object, top: str = output) -> bool:
        return isinstance(fd, int) and (where(fd) + "/").startswith(top + "/")

    match call:
        case "open source":
            fails(os, "open", lambda path, *_, **keys: path == b"x.jpg" and beneath(keys["dir_fd"], root))
        case "read source":
            fails(os, "preadv", lambda fd, *_: beneath(fd, root))
        case "open root":
            fails(os, "open", lambda path, *_, **__: path == root and on_worker())
        case "open output":
            fails(os, "open", lambda path, *_, **__: path == output)
        case "statvfs":
            fails(os, "fstatvfs", beneath)
        case "mkdir":
            fails(os, "mkdir", lambda path, *_, **keys: path == b"sub" and beneath(keys.get("dir_fd")))
        case "mkdir area":
            fails(os, "mkdir", lambda path, *_, **keys: path == b"thumbnails" and beneath(keys.get("dir_fd")))
        case "create":
            fails(os, "open", lambda path, flags=0, *_, **keys: flags & os.O_CREAT and beneath(keys.get("dir_fd")))
        case "create below":
            below = output + "/thumbnails/sub"
            fails(os, "open", lambda path, flags=0, *_, **keys: flags & os.O_CREAT and beneath(keys["dir_fd"], below))
        case "write":
            full = real("/dev/full", os.O_RDWR)
            former = os.fdopen

            def opened(fd: int, *args: Any, **keys: Any) -> Any:
                if beneath(fd):
                    os.dup2(full, fd)
                file = former(fd, *args, **keys)
                return _Failing(file, number) if where(fd) == "/dev/full" else file

            patch.setattr(os, "fdopen", opened)
        case "rename":
            fails(os, "rename", lambda *_, **keys: beneath(keys.get("dst_dir_fd")))
        case "utime" | "fsync":
            fails(os, call, lambda fd, *_, **__: beneath(fd))
        case "chmod":
            fails(os, "fchmod", lambda fd, *_, **__: beneath(fd))


class _Failing:
    """A file that cannot be written."""

    def __init__(self, file: Any, number: int) -> None:
        self._file = file
        self._number = number

    def write(self, data: bytes) -> int:
        raise OSError(self._number, os.strerror(self._number))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Bench:
    """An engine with two watches in this process, and what it tells of each job."""

    def __init__(self, base: Path, extra: str = "") -> None:
        self.base = base
        watch = "  - path: ./{0}\n    output: ./{1}\n    presets: [small]\n    files: {{mtime: source}}\n"
        text = "watches:\n" + watch.format("inbox", "out") + watch.format("inbox2", "out2") + extra
        (base / "config.yaml").write_text(text)
        for name in ("inbox/sub", "inbox2"):
            (base / name).mkdir(parents=True)
        (base / "inbox/sub/x.jpg").write_bytes(jpeg())
        (base / "inbox2/y.jpg").write_bytes(jpeg(seed=1))
        self.told: dict[str, list[Outcome]] = {"inbox": [], "inbox2": []}
        self.engine = Engine(load(str(base / "config.yaml"), {}).config, live=False)
        tell = self.engine.ended

        def listen(job: Job, outcome: Outcome) -> None:
            self.told[job.watch].append(outcome)
            tell(job, outcome)

        self.engine.ended = listen  # type: ignore[method-assign]
        self.engine.start()

    def scan(self) -> list[Request]:
        requests = [watcher.request(Request((b"",))) for watcher in self.engine.watchers.values()]
        wait_for("the scan to end", lambda: all(each.done.is_set() for each in requests), 60)
        return requests

    def reasons(self) -> set[Reason | None]:
        return {each.reason for each in self.told["inbox"] if each.result in (Result.FAILED, Result.RETRIED)}

    def quarantine(self) -> list[str]:
        query = "SELECT reason FROM failure"
        return [reason for (reason,) in self.engine.index.read().execute(query).fetchall()]


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made: list[Bench] = []

    def make(extra: str = "") -> Bench:
        made.append(Bench(tmp_path, extra))
        return made[-1]

    yield make
    for each in made:
        each.engine.stop(5.0)


@pytest.mark.parametrize(("call", "number", "reason"), CASES)
def test_who_pays_for_an_error(
    bench: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch, call: str, number: int, reason: Reason | None
) -> None:
    made = bench("fsync: true\n" if call == "fsync" else "")
    with monkeypatch.context() as patch:
        spoil(patch, made.base, call, number)
        made.scan()
        assert (made.base / "out2/thumbnails/y_thumb_small.jpg").exists()
        assert made.reasons() == (set() if reason is None else {reason})
        if reason is None or reason.innocent:
            assert made.quarantine() == []
        else:
            wait_for("the quarantine", lambda: made.quarantine() == [str(reason)])
        kept = [name for _, _, names in os.walk(made.base / "out") for name in names if name.endswith(".tmp")]
        assert kept == []
    if reason is not None and not reason.innocent:
        return
    made.engine.index.write(lambda c: c.execute("UPDATE source SET retry_at = 0")).result()
    made.engine.feeder.kick()
    wait_for("the image", (made.base / "out/thumbnails/sub/x_thumb_small.jpg").exists)


def test_two_sources_that_want_one_name_at_once(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """On an output that ignores case. The one that comes second waits for the first, and is told whose the name is."""
    monkeypatch.setattr(outputs, "_ignores_case", lambda fd: True)
    made = bench()
    (made.base / "inbox/sub/X.JPG").write_bytes(jpeg(seed=3))
    (made.base / "inbox2/y.jpg").unlink()  # it would take one of perhaps two workers
    render = Picture.render
    second = threading.Event()

    def slow(self: Picture, *args: Any, **keys: Any) -> Any:
        second.wait(30)
        return render(self, *args, **keys)

    take = Claims.take

    def taking(self: Claims, *args: Any, **keys: Any) -> Any:
        found = take(self, *args, **keys)
        if found is None:
            second.set()
        return found

    monkeypatch.setattr(Picture, "render", slow)
    monkeypatch.setattr(Claims, "take", taking)
    requests = made.scan()
    assert second.is_set()
    assert made.quarantine() == ["name_taken"]
    assert [each.problem for each in requests] == [None, None]
    assert made.reasons() == {Reason.NAME_TAKEN}


def test_a_scan_waits_for_tries_of_its_images(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """A name in use, an error while it is read: after the last try it is decided, and nothing is put off."""
    made = bench()
    spoil(monkeypatch, made.base, "rename", errno.EBUSY)
    made.scan()
    assert made.quarantine() == ["busy"]


def test_an_index_that_cannot_be_written_is_no_fault_of_an_image(
    bench: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench("")
    from hotfolder.pipeline.changes import Done

    former = Done.__call__
    failing = [True]

    def full(self: Done, connection: sqlite3.Connection) -> int:
        if failing and self.path == b"sub/x.jpg":
            failing.clear()
            raise sqlite3.OperationalError("database or disk is full")
        return former(self, connection)

    monkeypatch.setattr(Done, "__call__", full)
    made.scan()
    wait_for("the image", (made.base / "out/thumbnails/sub/x_thumb_small.jpg").exists)
    assert made.quarantine() == []


def test_names_are_cut_at_what_the_output_takes(bench: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """Encrypted folders of Synology and eCryptfs take 143 bytes."""
    former = os.fstatvfs

    def short(fd: int) -> os.statvfs_result:
        found = former(fd)
        return os.statvfs_result((*found[:9], 143))

    monkeypatch.setattr(os, "fstatvfs", short)
    made = bench("")
    names = ["a" * 125 + ".jpg", "a" * 139 + ".jpg", "a" * 138 + "b.jpg", "ü" * 100 + ".jpg", "a" * 240 + ".png"]
    for n, name in enumerate(names):
        (made.base / "inbox" / name).write_bytes(jpeg(seed=n + 2))
    made.scan()
    found = sorted(os.listdir(made.base / "out/thumbnails"))
    assert len(found) == len(names) + 1
    copies = sorted(os.listdir(made.base / "out/optimized"))
    assert len(copies) == len(names) + 1
    assert max(len(os.fsencode(name)) for name in (*found, *copies)) == 143
    assert made.quarantine() == []
    # Renamed, they are cut again.
    (made.base / "inbox" / names[4]).rename(made.base / "inbox" / ("c" * 250 + ".png"))
    made.scan()
    made.scan()
    assert max(len(os.fsencode(name)) for name in os.listdir(made.base / "out/thumbnails")) == 143
    assert any(name.startswith("ccc") for name in os.listdir(made.base / "out/thumbnails"))


def test_verifying_an_output_that_is_away_blames_no_folder(bench: Callable[[str], Bench], tmp_path: Path) -> None:
    made = bench("")
    made.scan()
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    requests = [each.request(Request((b"",), verify=True)) for each in made.engine.watchers.values()]
    wait_for("the scan to end", lambda: all(each.done.is_set() for each in requests))
    assert "the output" in (requests[0].problem or "")
    assert requests[1].problem is None
    (tmp_path / "elsewhere").rename(tmp_path / "out")
    again = made.scan()
    assert again[0].problem is None
