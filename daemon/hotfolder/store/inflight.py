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
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"hotfolder-inflight-1\n"
HEADER = 128
BOOT_AT = 32
BOOT_MAX = 64
SLOT = 4608
NAME_MAX = 32
PATH_MAX = 4096
_HEAD = struct.Struct("<BBHI")  # used, suspect, length of the watch's name, length of the path


@dataclass(frozen=True, slots=True)
class Note:
    """One source that was in flight when the process ended. A path longer than 4096 bytes is not remembered."""

    slot: int
    watch: str
    path: bytes
    suspect: bool
    """It was perhaps being decoded, in this boot."""


class InFlight:
    """`<state>/inflight`; opening it reads what a former life left behind, and keeps that until it is cleared."""

    def __init__(self, path: str, slots: int = 64, boot: str | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._boot = (boot if boot is not None else boot_id()).encode()[:BOOT_MAX]
        self._slots = slots
        self._size = HEADER + slots * SLOT

    def open(self) -> InFlight:
        """Before anything else is done with it. Raises OSError."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            header = os.pread(fd, HEADER, 0)
            self.clean = not header.startswith(MAGIC)
            same_boot = header[BOOT_AT : BOOT_AT + BOOT_MAX].rstrip(b"\0") == self._boot
            self.leftovers = tuple(self._write_out(fd, same_boot=same_boot))
            # Last: killed before it, the next start finds the same and does it all again.
            self._write(fd, (MAGIC.ljust(BOOT_AT, b"\0") + self._boot).ljust(HEADER, b"\0"), 0)
            os.ftruncate(fd, self._size)
            self._map = mmap.mmap(fd, self._size)
        finally:
            os.close(fd)
        taken = {note.slot for note in self.leftovers}
        self._left = taken
        self._free = [slot for slot in range(self._slots) if slot not in taken]
        return self

    def _write_out(self, fd: int, *, same_boot: bool) -> Iterator[Note]:
        """What a former life left behind; nothing after an orderly end. Slot by slot: the whole would stay in the
        allocator's memory for good.

        All is written out, not left sparse: a store into a hole is a SIGBUS once the disk is full.
        """
        for number in range(self._slots):
            at = HEADER + number * SLOT
            slot = bytearray(SLOT)
            if not self.clean:
                former = os.pread(fd, SLOT, at)
                slot[: len(former)] = former
            if not same_boot:
                slot[1] = 0  # the whole machine went: that means nothing against an image
            self._write(fd, slot, at)
            if note := _note(number, slot):
                yield note

    def _write(self, fd: int, content: bytes | bytearray, at: int) -> None:
        if os.pwrite(fd, content, at) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)

    def enter(self, watch: str, path: bytes) -> int:
        """Note that this source is being worked on; returns its slot. Raises RuntimeError where none is free."""
        with self._lock:
            if not self._free:
                raise RuntimeError("more sources in flight than slots")
            slot = self._free.pop()
        name = watch.encode()
        text = name + (path if len(path) <= PATH_MAX else b"")
        start = HEADER + slot * SLOT
        self._map[start + _HEAD.size : start + _HEAD.size + len(text)] = text
        # The first byte makes the note valid: it comes last here, and goes first in leave().
        self._map[start : start + _HEAD.size] = _HEAD.pack(0, 1, len(name), len(text) - len(name))
        self._map[start] = 1
        return slot

    def decoded(self, slot: int) -> None:
        """From here on it is not this image that may kill the process."""
        self._map[HEADER + slot * SLOT + 1] = 0

    def leave(self, slot: int) -> None:
        self._map[HEADER + slot * SLOT] = 0
        with self._lock:
            self._left.discard(slot)
            self._free.append(slot)

    def close(self) -> None:
        """An orderly stop: nothing is in flight any more. What could not be cleaned up stays noted."""
        if not self._left:
            self._map[: len(MAGIC)] = b"\0" * len(MAGIC)
        self._map.close()


def _note(number: int, slot: bytearray) -> Note | None:
    """The note of a slot; a damaged one is none."""
    used, suspect, name_length, path_length = _HEAD.unpack_from(slot)
    if used != 1 or name_length > NAME_MAX or path_length > PATH_MAX:
        return None
    watch, path = slot[_HEAD.size :][:name_length], slot[_HEAD.size + name_length :][:path_length]
    return Note(number, watch.decode("ascii", "replace"), bytes(path), bool(suspect))


def boot_id() -> str:
    """A text that changes with each boot; empty where the system has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
