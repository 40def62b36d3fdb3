"""An output root becomes ours: its CACHEDIR.TAG, the refusal of folders with files of others, and its habits.

The tag (https://bford.info/cachedir/) makes backups leave the folder out and tells any watch not to look into it.
"""

from __future__ import annotations

import contextlib
import os
import secrets

from hotfolder.errors import StartError
from hotfolder.keeping.layout import OPTIMIZED_FOLDER, THUMBNAILS

TAG = b"CACHEDIR.TAG"
TAG_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
TAG_TEXT = TAG_SIGNATURE + b"\n# Renditions made by hotfolder; they can be made again from their sources.\n"


def claim(path: str, dir_mode: int) -> None:
    """Make the output and mark it as ours. Raises StartError where it is not writable or holds files of others."""
    try:
        os.makedirs(path, mode=dir_mode, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StartError(f"output {path}: {os.strerror(error.errno or 0)}; make it a writable folder") from error
    try:
        if is_ours(fd):
            return
        for area in (THUMBNAILS, OPTIMIZED_FOLDER):
            if _holds_something(fd, area):
                raise StartError(
                    f"output {path}: {area.decode()}/ already holds files that hotfolder did not make; "
                    "move them away or choose another `output`"
                )
        _write_tag(fd)
    except OSError as error:
        raise StartError(f"output {path} is not writable: {os.strerror(error.errno or 0)}") from error
    finally:
        os.close(fd)


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
        os.write(tag_fd, TAG_TEXT)
    finally:
        os.close(tag_fd)
    os.rename(name, TAG, src_dir_fd=fd, dst_dir_fd=fd)


def is_ours(folder_fd: int) -> bool:
    """Whether this folder has a CACHEDIR.TAG that names hotfolder."""
    try:
        fd = os.open(TAG, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except OSError:
        return False
    try:
        text = os.read(fd, 1024)
    except OSError:
        return False
    finally:
        os.close(fd)
    return text.startswith(TAG_SIGNATURE) and b"hotfolder" in text


def ignores_case(path: str) -> bool:
    """Whether two names that differ in case alone are one file there (asked by making one)."""
    name = f".hotfolder-{secrets.token_hex(8)}x.tmp"
    probe = os.path.join(path, name)
    fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.close(fd)
    try:
        return os.path.exists(os.path.join(path, name.replace("x.tmp", "X.tmp")))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(probe)
