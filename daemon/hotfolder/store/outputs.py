"""An output root becomes ours: its CACHEDIR.TAG, the refusal of folders with files of others, and its habits.

The tag (https://bford.info/cachedir/) makes backups leave the folder out and keeps any watch from looking into it.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field

from hotfolder.errors import StartError
from hotfolder.faults import SHORT
from hotfolder.store.layouts import Layout
from hotfolder.store.names import NAME_MAX

TAG = b"CACHEDIR.TAG"
TAG_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
TAG_TEXT = TAG_SIGNATURE + b"\n# Renditions made by hotfolder; they can be made again from their sources.\n"


LEAST_NAME = 64
"""No file system that is worth its name takes less; what reports less does not know."""


@dataclass(slots=True)
class Habits:
    """What the file system of one output is like, as far as it is known by now."""

    ready: bool = False
    """The output has been made, is ours, was looked at, and what a killed process left there is gone; until then
    nothing is written there."""
    folds: bool = False
    """It ignores case or normalises Unicode."""
    name_max: int = NAME_MAX
    """The longest name that it takes, in bytes."""
    doubted: bool = False
    """The machine crashed, and its renditions could not be compared yet."""
    refused: set[str] = field(default_factory=set)
    """What is nice to have and was refused, and said so in the log."""


def prepare(path: str, layout: Layout, dir_mode: int, habits: Habits) -> None:
    """Make the output, mark it as ours and learn its habits. Raises StartError where it is a file or holds files of
    others, OSError where it cannot be written, or not be reached."""
    try:
        os.makedirs(path, mode=dir_mode, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        if isinstance(error, FileExistsError):
            os.stat(path)  # a mount whose server died "exists", and is no folder: stat reports it
        raise StartError(f"output {path}: a file is in the way; make it a writable folder") from error
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _is_tagged(fd):
            for area in layout.areas:
                if _holds_something(fd, area):
                    raise StartError(
                        f"output {path}: {area.decode()}/ already holds files that hotfolder did not make; "
                        "move them away or choose another `output`"
                    )
            _write_tag(fd)
        habits.folds = _ignores_case(fd)
        habits.name_max = name_max(os.fstatvfs(fd))
    finally:
        os.close(fd)


def name_max(found: os.statvfs_result) -> int:
    """The longest name in bytes; never more than what every part of hotfolder counts on."""
    return min(NAME_MAX, found.f_namemax) if found.f_namemax >= LEAST_NAME else NAME_MAX


def _holds_something(fd: int, area: bytes) -> bool:
    try:
        area_fd = os.open(area, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    except FileNotFoundError:
        return False
    try:
        with os.scandir(area_fd) as entries:
            return next(entries, None) is not None
    finally:
        os.close(area_fd)


def _write_tag(fd: int) -> None:
    name = b".hotfolder-" + secrets.token_hex(8).encode() + b".tmp"
    tag_fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=fd)
    try:
        try:
            os.write(tag_fd, TAG_TEXT)
        finally:
            os.close(tag_fd)
        os.rename(name, TAG, src_dir_fd=fd, dst_dir_fd=fd)
    except OSError:
        os.unlink(name, dir_fd=fd)
        raise


def is_ours(folder_fd: int) -> bool:
    """Whether this folder has a CACHEDIR.TAG that names hotfolder; what cannot be read does not say so. Raises OSError
    where this process is short of something."""
    try:
        return _is_tagged(folder_fd)
    except OSError as error:
        if error.errno in SHORT:
            raise
        return False


def _is_tagged(folder_fd: int) -> bool:
    try:
        fd = os.open(TAG, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except FileNotFoundError:
        return False
    try:
        text = os.read(fd, 1024)
    finally:
        os.close(fd)
    return text.startswith(TAG_SIGNATURE) and b"hotfolder" in text


def _ignores_case(fd: int) -> bool:
    """Whether two names that differ in case alone are one file there: then the tag has two. Nothing is written for it,
    so that a read-only output is known, too."""
    other = TAG.decode().lower()
    try:
        os.stat(other, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return other not in os.listdir(fd)
