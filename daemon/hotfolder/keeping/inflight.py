"""What is in flight, in a small memory-mapped file: a store costs well under a microsecond and survives kill -9.

After an unclean end the notes say where temporary files may have been left and which sources are suspects; an orderly
stop clears them, and after a reboot (boot id) they convict nobody.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import threading
from dataclasses import dataclass

MAGIC = b"hotfolder-inflight-1\n"
HEADER = 128
BOOT_AT = 32
BOOT_MAX = 64
SLOT = 4608
NAME_MAX = 32
PATH_MAX = 4096
_HEAD = struct.Struct("<BBHI")  # used, decoding, length of the watch's name, length of the path


@dataclass(frozen=True, slots=True)
class Note:
    """One source that was in flight when the process ended. A path longer than 4096 bytes is not remembered."""

    watch: str
    path: bytes
    same_boot: bool
    decoding: bool


class InFlight:
    """`<state>/inflight`; opening it reads what a former life left behind."""

    def __init__(self, path: str, slots: int = 64, boot: str | None = None) -> None:
        self._lock = threading.Lock()
        self._free = list(range(slots))
        self._boot = (boot if boot is not None else boot_id()).encode()[:BOOT_MAX]
        size = HEADER + slots * SLOT
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self.clean, self.leftovers = _read(fd, self._boot)
            # Written out, not left sparse: a store into a hole is a SIGBUS once the disk is full.
            header = MAGIC.ljust(BOOT_AT, b"\0") + self._boot
            if os.pwrite(fd, header.ljust(size, b"\0"), 0) != size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            os.ftruncate(fd, size)
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)

    def enter(self, watch: str, path: bytes) -> int:
        """Note that this source is being worked on; gives its slot. Raises RuntimeError where none is free."""
        with self._lock:
            if not self._free:
                raise RuntimeError("more sources in flight than slots")
            slot = self._free.pop()
        name = watch.encode()
        text = name + (path if len(path) <= PATH_MAX else b"")
        start = HEADER + slot * SLOT
        self._map[start + _HEAD.size : start + _HEAD.size + len(text)] = text
        # The first byte makes the note valid: it comes last here, and goes first in leave().
        self._map[start : start + _HEAD.size] = _HEAD.pack(0, 0, len(name), len(text) - len(name))
        self._map[start] = 1
        return slot

    def decoding(self, slot: int) -> None:
        """From here on it is the image that may kill the process."""
        self._map[HEADER + slot * SLOT + 1] = 1

    def leave(self, slot: int) -> None:
        self._map[HEADER + slot * SLOT] = 0
        with self._lock:
            self._free.append(slot)

    def close(self) -> None:
        """An orderly stop: nothing is in flight any more."""
        self._map[: len(MAGIC)] = b"\0" * len(MAGIC)
        self._map.close()


def _read(fd: int, boot: bytes) -> tuple[bool, tuple[Note, ...]]:
    """Whether the last end was orderly (or there was none), and the notes otherwise. A damaged file has none."""
    data = os.pread(fd, HEADER + 1024 * SLOT, 0)
    if not data.startswith(MAGIC):
        return True, ()
    same_boot = data[BOOT_AT : BOOT_AT + BOOT_MAX].rstrip(b"\0") == boot
    notes = []
    for start in range(HEADER, len(data) - SLOT + 1, SLOT):
        used, decoding, name_length, path_length = _HEAD.unpack_from(data, start)
        if used != 1 or name_length > NAME_MAX or path_length > PATH_MAX:
            continue
        at = start + _HEAD.size
        watch = data[at : at + name_length].decode("ascii", "replace")
        path = data[at + name_length : at + name_length + path_length]
        if path:
            notes.append(Note(watch, path, same_boot, bool(decoding)))
    return False, tuple(notes)


def boot_id() -> str:
    """A text that changes with each boot; empty where the system tells none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
