"""What is mounted where, and what that means for watching: read from mountinfo (proc(5)), never by touching a mount."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import select
import shutil
import struct
import threading
from dataclasses import dataclass
from typing import BinaryIO

from hotfolder import probe
from hotfolder.model import Backend

NETWORK = frozenset(
    (
        "nfs nfs4 cifs smb3 smbfs 9p virtiofs ceph glusterfs lustre afs davfs ncpfs fuse.sshfs fuse.rclone "
        "fuse.s3fs fuse.gcsfuse fuse.glusterfs fuse.curlftpfs fuse.davfs2 fuse.vmhgfs-fuse vboxsf prl_fs "
        "fuse.grpcfuse"
    ).split()
)
"""File systems whose changes on the other side raise no event here."""

FREE_SECONDS = 0.05

_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
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


def read(path: str = "/proc/self/mountinfo", *, strict: bool = False) -> list[Mount]:
    """All mounts in the order in which they were made; none where the system has no such file. `strict`: raises
    OSError where it has one that cannot be read for now (no descriptor is left)."""
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")  # a carriage return is not escaped: it may stand in a name
    except OSError as error:
        if strict and error.errno in _SHORT:
            raise
        return []
    return [mount for line in lines if (mount := _parse(line)) is not None]


class Changes:
    """Whether anything has been mounted or unmounted since the last call, by the kernel (proc(5), mountinfo)."""

    def __init__(self, path: str = "/proc/self/mountinfo", *, strict: bool = False) -> None:
        """`strict`: see `read`."""
        self._poll = select.poll()
        try:
            self._file: BinaryIO | None = open(path, "rb")  # noqa: SIM115 - lives as long as this
            self._poll.register(self._file, select.POLLPRI)
        except OSError as error:
            if strict and error.errno in _SHORT:
                raise
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
    """Bytes free where a path lies, asked on a thread of its own: a mount that hangs must not hang the caller."""

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
    try:
        root = os.fsencode(probe.ask(path, lambda: os.path.realpath(path)))
    except probe.Silent:
        return True
    mount = of(root, known)
    below = [each for each in known if each.point.startswith(root.rstrip(b"/") + b"/")]
    return any(backend_for(each.fstype) != "inotify" for each in (*below, *([mount] if mount else [])))


class Volumes:
    """Which file system something lies on, asked through an open descriptor: no path can lead elsewhere meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: Changes | None = None
        self._stale = True
        self._mounts: dict[int, Mount] = {}
        self._known: dict[int, tuple[str, str]] = {}

    def of(self, fd: int) -> tuple[str, str]:
        """Two texts. The first is the same as long as the same file system is mounted there, over reboots and other
        device names, too; what has been unmounted lazily has another. The second is empty where that is certain,
        and else distinguishes one mount from the next (FAT, network, FUSE). Raises OSError where it does not answer."""
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
        """Read anew whenever the kernel reports that mounts have changed: numbers of mounts are given again."""
        if self._changes is None or self._stale or self._changes.seen():
            self._stale = True  # until it has been read: that may fail
            self._changes = self._changes or Changes(strict=True)
            self._known.clear()
            self._mounts = {mount.id: mount for mount in read(strict=True)}
            self._stale = False
        return self._mounts.get(_mount_id(fd))


_volumes = Volumes()


def volume(fd: int) -> str:
    """What Volumes.of returns first; one table serves the whole process."""
    return _volumes.of(fd)[0]


def instance(fd: int) -> str:
    """Both texts of Volumes.of: for whoever can recognise after the next mount what lies there."""
    return " ".join(_volumes.of(fd))


def _mount_id(fd: int) -> int:
    """0 where the system does not say."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
            found = re.search(rb"^mnt_id:\s*(\d+)", file.read(), re.MULTILINE)
    except OSError as error:
        if error.errno in _SHORT:
            raise
        return 0
    return int(found[1]) if found else 0


def _identity(fd: int, mount: Mount | None) -> tuple[str, str]:
    """Type, bound folder, id and birth of its root; its source where it has neither id nor birth.

    Some make their id of the device number (xfs, FAT), which the next disk in the same slot has, too: no id.
    """
    fsid = os.fstatvfs(fd).f_fsid
    device = os.fstat(fd).st_dev
    major, minor = os.major(device), os.minor(device)
    if fsid == (minor & 0xFF | major << 8 | (minor & ~0xFF) << 12):
        fsid = 0
    if mount is None:
        return f"device={device:x} fsid={fsid:x}", ""
    parts = [mount.fstype, mount.root]
    birth = born(mount.point)
    if fsid:
        parts.append(f"fsid={fsid:x}")
    if birth:
        parts.append(f"born={birth}")
    if fsid or birth:
        return " ".join(parts), ""
    return " ".join((*parts, mount.source)), f"{_boot_id()} {_statx(fd, _STATX_MNT_ID_UNIQUE) or mount.id}"


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


_AT_FDCWD, _STATX_BTIME, _STATX_MNT_ID_UNIQUE = -100, 0x800, 0x4000
_AT_SYMLINK_NOFOLLOW, _AT_NO_AUTOMOUNT, _AT_EMPTY_PATH, _AT_STATX_DONT_SYNC = 0x100, 0x800, 0x1000, 0x4000
_LIBC = ctypes.CDLL(None)


def born(place: bytes | int) -> str:
    """When a folder was made, by its path or descriptor, as a text; empty where the system does not say."""
    return _statx(place, _STATX_BTIME)


def _statx(place: bytes | int, wanted: int) -> str:
    """One field of statx(2) as a text; empty where the system does not have it."""
    statx = getattr(_LIBC, "statx", None)
    if statx is None:
        return ""
    found = ctypes.create_string_buffer(256)
    flags = _AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT | _AT_STATX_DONT_SYNC
    if isinstance(place, int):
        failed = statx(place, b"", flags | _AT_EMPTY_PATH, wanted, found)
    else:
        failed = statx(_AT_FDCWD, place, flags, wanted, found)
    if failed or not struct.unpack_from("=I", found, 0)[0] & wanted:
        return ""
    if wanted == _STATX_MNT_ID_UNIQUE:
        return str(struct.unpack_from("=Q", found, 144)[0])
    seconds, nanoseconds = struct.unpack_from("=qI", found, 80)
    return f"{seconds}.{nanoseconds:09d}" if seconds or nanoseconds else ""
