"""What is mounted where, and what that means for watching: read from mountinfo (proc(5)), never by touching a mount."""

from __future__ import annotations

import ctypes
import os
import re
import select
import shutil
import struct
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
    id: int = 0
    """The kernel's number for it, while it is mounted; given again afterwards."""


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
    fstype, number = more[0].decode("ascii", "replace"), int(fields[0]) if fields[0].isdigit() else 0
    return Mount(plain[1], fstype, os.fsdecode(plain[2]), os.fsdecode(plain[0]), number)


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


class Volumes:
    """Which file system something lies on, asked through an open descriptor: no path can lead elsewhere meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: Changes | None = None
        self._mounts: dict[int, Mount] = {}
        self._known: dict[int, str] = {}

    def of(self, fd: int) -> str:
        """A text that is the same as long as the same file system is mounted there, over reboots and other device
        names, too. What has been unmounted lazily gives another one. Raises OSError where it does not answer."""
        with self._lock:
            mount = self._mount(fd)
            known = self._known.get(mount.id) if mount is not None else None
        if known is not None:
            return known
        text = _identity(fd, mount)
        if mount is not None:
            with self._lock:
                if self._mounts.get(mount.id) == mount:
                    self._known[mount.id] = text
        return text

    def _mount(self, fd: int) -> Mount | None:
        """Read anew whenever the kernel says that mounts have changed: numbers of mounts are given again."""
        if self._changes is None:
            self._changes = Changes()
            self._changes.seen()
            self._read()
        elif self._changes.seen():
            self._read()
        return self._mounts.get(_mount_id(fd))

    def _read(self) -> None:
        self._mounts = {mount.id: mount for mount in read()}
        self._known.clear()


_volumes = Volumes()


def volume(fd: int) -> str:
    """See Volumes.of; one table serves the whole process."""
    return _volumes.of(fd)


def _mount_id(fd: int) -> int:
    """0 where the system does not say."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
            found = re.search(rb"^mnt_id:\s*(\d+)", file.read(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _identity(fd: int, mount: Mount | None) -> str:
    """Type, bound folder, id and birth of its root; its source where it has neither id nor birth, or is remote.

    Some make their id of the device number (xfs, FAT), which the next disk in the same slot has, too: no id.
    """
    fsid = os.fstatvfs(fd).f_fsid
    device = os.fstat(fd).st_dev
    major, minor = os.major(device), os.minor(device)
    if fsid == (minor & 0xFF | major << 8 | (minor & ~0xFF) << 12):
        fsid = 0
    if mount is None:
        return f"device={device:x} fsid={fsid:x}"
    parts = [mount.fstype, mount.root]
    birth = born(mount.point)
    if fsid:
        parts.append(f"fsid={fsid:x}")
    if birth:
        parts.append(f"born={birth}")
    if not (fsid or birth) or backend_for(mount.fstype) != "inotify":
        parts.append(mount.source)
    return " ".join(parts)


_AT_FDCWD, _STATX_BTIME = -100, 0x800
_AT_SYMLINK_NOFOLLOW, _AT_NO_AUTOMOUNT, _AT_EMPTY_PATH, _AT_STATX_DONT_SYNC = 0x100, 0x800, 0x1000, 0x4000
_LIBC = ctypes.CDLL(None)


def born(place: bytes | int) -> str:
    """When a folder was made, by its path or descriptor, as a text; empty where the system does not say."""
    statx = getattr(_LIBC, "statx", None)
    if statx is None:
        return ""
    found = ctypes.create_string_buffer(256)
    flags = _AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT | _AT_STATX_DONT_SYNC
    if isinstance(place, int):
        failed = statx(place, b"", flags | _AT_EMPTY_PATH, _STATX_BTIME, found)
    else:
        failed = statx(_AT_FDCWD, place, flags, _STATX_BTIME, found)
    mask: int = struct.unpack_from("=I", found, 0)[0]
    if failed or not mask & _STATX_BTIME:
        return ""
    seconds, nanoseconds = struct.unpack_from("=qI", found, 80)
    return f"{seconds}.{nanoseconds:09d}" if seconds or nanoseconds else ""
