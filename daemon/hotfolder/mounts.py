"""What is mounted where, and what that means for watching: read from mountinfo (proc(5)), never by touching a mount."""

from __future__ import annotations

import os
import re
import select
import shutil
import threading
from dataclasses import dataclass
from typing import BinaryIO, Literal

Backend = Literal["inotify", "polling", "hybrid"]

NETWORK = frozenset(
    (
        "nfs nfs4 cifs smb3 smbfs 9p virtiofs ceph glusterfs lustre afs davfs ncpfs fuse.sshfs fuse.rclone "
        "fuse.s3fs fuse.gcsfuse fuse.glusterfs fuse.curlftpfs fuse.davfs2 fuse.vmhgfs-fuse vboxsf prl_fs "
        "fuse.grpcfuse"
    ).split()
)
"""File systems whose changes on the other side raise no event here."""

FREE_SECONDS = 0.05

_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo: where, what kind, from what, and which folder of it."""

    point: bytes
    fstype: str
    source: str
    root: str


def read(path: str = "/proc/self/mountinfo") -> list[Mount]:
    """All mounts in the order in which they were made; none where the system has no such file."""
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")  # a carriage return is not escaped: it may stand in a name
    except OSError:
        return []
    return [mount for line in lines if (mount := _parse(line)) is not None]


class Changes:
    """Whether anything has been mounted or unmounted since one asked last: the kernel says so (proc(5), mountinfo)."""

    def __init__(self, path: str = "/proc/self/mountinfo") -> None:
        self._poll = select.poll()
        try:
            self._file: BinaryIO | None = open(path, "rb")  # noqa: SIM115 - lives as long as this
            self._poll.register(self._file, select.POLLPRI)
        except OSError:
            self._file = None

    def seen(self) -> bool:
        """Never waits."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _parse(line: bytes) -> Mount | None:
    head, separator, tail = line.partition(b" - ")
    fields, more = head.split(b" "), tail.split(b" ")
    if not separator or len(fields) < 6 or len(more) < 2:
        return None
    plain = [_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), field) for field in (fields[3], fields[4], more[1])]
    return Mount(plain[1], more[0].decode("ascii", "replace"), os.fsdecode(plain[2]), os.fsdecode(plain[0]))


def of(path: bytes, mounts: list[Mount]) -> Mount | None:
    """The mount that an absolute path lies on: the longest mount point above it, of two the later one."""
    best: Mount | None = None
    for mount in mounts:
        point = mount.point.rstrip(b"/")
        inside = path == mount.point or path.startswith(point + b"/")
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def backend_for(fstype: str) -> Backend:
    """How changes there can be seen: network mounts by polling, other FUSE by events and a slow poll."""
    if fstype in NETWORK:
        return "polling"
    if fstype == "fuse" or fstype.startswith("fuse."):
        return "hybrid"
    return "inotify"


class FreeSpace:
    """Bytes free where a path lies, asked on a thread of its own: a mount that hangs must not hang who asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Thread] = {}
        self._found: dict[str, int | None] = {}

    def of(self, path: str) -> int | None:
        """The newest figure, at most a moment late; None where there is none."""
        with self._lock:
            asking = self._asking.get(path)
            if asking is None or not asking.is_alive():
                asking = threading.Thread(target=self._ask, args=(path,), name="hotfolder-free", daemon=True)
                self._asking[path] = asking
                asking.start()
        asking.join(FREE_SECONDS)
        return self._found.get(path)

    def _ask(self, path: str) -> None:
        try:
            self._found[path] = shutil.disk_usage(path).free
        except OSError:
            self._found[path] = None  # /readyz and the watch's state say why


def is_remote(path: str) -> bool:
    """Whether something at or below the path lies on a mount that may stop answering: network, or any FUSE."""
    known = read()
    root = os.fsencode(os.path.realpath(path))
    mount = of(root, known)
    below = [each for each in known if each.point.startswith(root.rstrip(b"/") + b"/")]
    return any(backend_for(each.fstype) != "inotify" for each in (*below, *([mount] if mount else [])))


def identity(fd: int, path: bytes, mounts: list[Mount]) -> str:
    """A text that is the same as long as the same file system is mounted there, over reboots, too.

    st_dev is no part of it (it changes over reboots); f_fsid is where it is not 0.
    """
    mount = of(path, mounts)
    fsid = os.fstatvfs(fd).f_fsid
    if mount is None:
        return f"fsid={fsid:x}"
    parts = [mount.fstype, mount.source, mount.root]
    if fsid and mount.fstype not in ("tmpfs", "ramfs", "overlay"):
        parts.append(f"fsid={fsid:x}")
    return " ".join(parts)
