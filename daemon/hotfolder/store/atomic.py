"""Files beneath a root, through directory descriptors: no path leads out, no reader sees half a file.

Every folder on the way is opened with O_NOFOLLOW, so that a symbolic link that someone puts there ends in an OSError
instead of somewhere else. Names may have any length that the file system takes, since paths are never joined.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator

from hotfolder import paths
from hotfolder.store import temporary
from hotfolder.store.refusals import allowing, naming

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_root(path: str) -> int:
    """A root's descriptor. The root itself may be a link: its owner configured it."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_folder(root_fd: int, folder: bytes) -> int:
    """A folder beneath the root. Raises OSError (ENOENT, ENOTDIR or ELOOP for what is no folder of its own).

    Here and below a path that has ``.``, ``..`` or an empty part is an OSError, too (EINVAL).
    """
    fd = os.dup(root_fd)
    for name in folder.split(b"/") if folder else ():
        try:
            _refuse_dots(name)
            below = os.open(name, _FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def make_folder(root_fd: int, area: bytes, folder: bytes, mode: int) -> int:
    """A folder of an area, with those on the way made where they are missing, of exactly this mode. Raises Unnamed
    where a name is refused; names of areas are ours, and never at fault."""
    try:
        return _make_folder(root_fd, area, folder, mode)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    return _make_folder(root_fd, area, folder, mode)  # a job beside us pruned one on the way while it was empty


def _make_folder(root_fd: int, area: bytes, folder: bytes, mode: int) -> int:
    path = b"/".join(part for part in (area, folder) if part)
    ours = area.count(b"/") + 1 if area else 0
    fd = os.dup(root_fd)
    for depth, name in enumerate(path.split(b"/") if path else ()):
        try:
            with contextlib.nullcontext() if depth < ours else naming(root_fd, area, path, fd):
                below = _step(fd, name, mode)
        finally:
            os.close(fd)
        fd = below
    return fd


def _step(fd: int, name: bytes, mode: int) -> int:
    _refuse_dots(name)
    try:
        return os.open(name, _FOLDER, dir_fd=fd)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):  # a job beside us made it: open that one
            os.mkdir(name, mode, dir_fd=fd)
            below = os.open(name, _FOLDER, dir_fd=fd)
            set_mode(below, mode)
            return below
    return os.open(name, _FOLDER, dir_fd=fd)


def set_mode(fd: int, mode: int) -> bool:
    """Whatever the umask is. False where that is refused: the file system has no modes (exFAT …), or they are another
    user's to set (CIFS)."""
    try:
        os.fchmod(fd, mode)
    except OSError:
        return False
    return True


def _refuse_dots(name: bytes) -> None:
    if name in (b"", b".", b"..") or b"\0" in name:
        raise OSError(errno.EINVAL, "not a name", name)


@contextlib.contextmanager
def _parent(root_fd: int, path: bytes) -> Iterator[tuple[int, bytes]]:
    """The open folder in which a path ends, and its last name."""
    folder, name = paths.split(path)
    _refuse_dots(name)
    fd = open_folder(root_fd, folder)
    try:
        yield fd, name
    finally:
        os.close(fd)


def open_source(root_fd: int, path: bytes) -> int:
    """A file beneath the root for reading; never waits (a FIFO), never follows. The caller looks what it is."""
    with _parent(root_fd, path) as (folder_fd, name):
        return os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)


def lstat_beneath(root_fd: int, path: bytes) -> os.stat_result:
    """What stands at the path itself. Raises FileNotFoundError or NotADirectoryError where nothing does."""
    if not path:
        return os.fstat(root_fd)
    with _parent(root_fd, path) as (folder_fd, name):
        return os.stat(name, dir_fd=folder_fd, follow_symlinks=False)


def rename_beneath(root_fd: int, old: bytes, new: bytes, area: bytes, dir_mode: int) -> None:
    """Move a file or a folder, making the folders of the area that it goes to."""
    new_folder, new_name = paths.split(new)
    _refuse_dots(new_name)
    with _parent(root_fd, old) as (old_fd, old_name):
        new_fd = make_folder(root_fd, area, new_folder[len(area) + 1 :], dir_mode)
        try:
            with naming(root_fd, area, new, new_fd, (old_fd, old_name)):
                os.rename(old_name, new_name, src_dir_fd=old_fd, dst_dir_fd=new_fd)
        finally:
            os.close(new_fd)


def remove_made(root_fd: int, area: bytes, path: bytes, size: int, mtime_ns: int) -> bool:
    """Remove a file of an area that still is as it was made. True where nothing is there afterwards."""
    try:
        with _parent(root_fd, path) as (folder_fd, name):
            found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode) or (found.st_size, found.st_mtime_ns) != (size, mtime_ns):
                return False
            with allowing(root_fd, area, path):
                os.unlink(name, dir_fd=folder_fd)
    except (FileNotFoundError, NotADirectoryError):
        pass
    return True


def prune_folders(root_fd: int, folder: bytes) -> None:
    """Remove the folder while it is empty, and then those above it; the two areas and the root stay."""
    while b"/" in folder:
        above, name = paths.split(folder)
        try:
            above_fd = open_folder(root_fd, above)
        except (FileNotFoundError, NotADirectoryError):
            folder = above
            continue
        try:
            os.rmdir(name, dir_fd=above_fd)
        except FileNotFoundError:
            pass  # somebody was quicker: go on above
        except OSError:
            return  # not empty
        finally:
            os.close(above_fd)
        folder = above


def remove_leftovers(output_fd: int, folder: bytes, areas: Iterable[bytes]) -> int:
    """Remove temporary files of ours from the areas of one source folder; returns how many."""
    count = 0
    for area in areas:
        try:
            fd = open_folder(output_fd, area + b"/" + folder if folder else area)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            for text in os.listdir(fd):
                name = os.fsencode(text)
                if temporary.is_name(name):
                    os.unlink(name, dir_fd=fd)
                    count += 1
        finally:
            os.close(fd)
    return count
