"""One place decides "is this a source?", for events, reconcile and API alike; and which rule leaves it out.

Patterns follow gitignore on the path relative to the root. What is decided of a folder is kept until an ignore file
below the root changes.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hotfolder import faults, paths
from hotfolder.store import atomic, outputs
from hotfolder.store.names import is_image_name
from hotfolder.telemetry import logs

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

CACHED_FOLDERS = 4096
IGNORE_FILE_MAX = 65_536

BUILT_IN_NAMES: tuple[str, ...] = (
    "System Volume Information",
    *".* @eaDir #recycle #snapshot @Recycle @Recently-Snapshot @tmp ~snapshot $RECYCLE.BIN RECYCLER lost+found".split(),
    *"~* *~ *.part *.partial *.crdownload *.download *.opdownload *.filepart *.tmp *.temp".split(),
    *"*.!ut *.!qB *.aria2 *.swp".split(),
)
"""Folders of NAS systems and snapshots, hidden names (rsync's temporary ones among them), unfinished downloads."""

log = logs.get("watching")


def _as_regex(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", ".*")


_BUILT_IN = re.compile("|".join(_as_regex(pattern) for pattern in BUILT_IN_NAMES).encode(), re.DOTALL)


def built_in(name: bytes) -> bool:
    """Whether a file or folder of this name is left out always."""
    return _BUILT_IN.fullmatch(name) is not None


def _spec(lines: Iterable[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # late: most roots have no patterns

    return GitIgnoreSpec.from_lines(lines)


@dataclass(frozen=True, slots=True)
class _Patterns:
    """gitignore patterns and the folder (with its slash, empty for the root) that they are relative to."""

    base: str
    spec: GitIgnoreSpec
    origin: str

    def verdict(self, path: str) -> bool | None:
        """True: left out; False: taken in again by a `!`; None: not mentioned."""
        return self.spec.check_file(path.removeprefix(self.base)).include


@dataclass(frozen=True, slots=True)
class FolderRules:
    """What is decided of one folder: why it is not entered, or the patterns that hold for its files."""

    path: bytes
    refused: str | None
    patterns: tuple[_Patterns, ...]
    include: GitIgnoreSpec | None

    def accepts(self, name: bytes) -> bool:
        """Whether a file of this name in this folder is a source."""
        if not is_image_name(name):
            return False
        if not self.patterns and self.include is None and self.refused is None:
            return not built_in(name)
        return self.why_not(name) is None

    def why_not(self, name: bytes) -> str | None:
        """The rule that leaves a file of this name out, in words; None for a source."""
        if self.refused is not None:
            return self.refused
        if built_in(name):
            return "its name is on the built-in list of hidden, temporary and system names"
        if not is_image_name(name):
            return "its name has no image extension"
        if not self.patterns and self.include is None:
            return None
        path = os.fsdecode(self.path + b"/" + name if self.path else name)
        if (origin := _left_out(self.patterns, path)) is not None:
            return origin
        if self.include is not None and not self.include.match_file(path):
            return "no pattern of `include` matches it"
        return None


def _left_out(patterns: Sequence[_Patterns], path: str) -> str | None:
    """The deepest patterns that mention the path decide, as in git."""
    for each in reversed(patterns):
        verdict = each.verdict(path)
        if verdict is not None:
            return each.origin if verdict else None
    return None


class Rules:
    """The rules of one watch.

    `not_below` returns the relative folders that belong to others (outputs, inner roots, state). It is called when they
    are needed, and again when all is decided anew.
    """

    def __init__(
        self,
        root: str,
        *,
        recursive: bool,
        include: Sequence[str],
        exclude: Sequence[str],
        ignore_files: Sequence[str],
        not_below: Callable[[], Collection[bytes]] = tuple,
    ) -> None:
        self._root = root
        self._recursive = recursive
        self._include = _spec(include) if include else None
        self._ignore_files = tuple(os.fsencode(name) for name in ignore_files)
        self._not_below = not_below
        self._others: frozenset[bytes] | None = None
        self._own = (_Patterns("", _spec(exclude), "a pattern of `exclude` matches it"),) if exclude else ()
        self._cache: OrderedDict[bytes, FolderRules] = OrderedDict()
        self._changes = 0
        self._lock = threading.Lock()

    def is_source(self, path: bytes) -> bool:
        folder, name = paths.split(path)
        return is_image_name(name) and self.folder(folder).accepts(name)

    def why_not(self, path: bytes) -> str | None:
        """The rule that leaves this path out; None for a source."""
        folder, name = paths.split(path)
        return self.folder(folder).why_not(name)

    def enters(self, folder: bytes) -> bool:
        """Whether this folder is looked into, and watched, at all."""
        return self.folder(folder).refused is None

    def is_ignore_file(self, path: bytes) -> bool:
        return paths.name(path) in self._ignore_files

    def forget(self) -> None:
        """An ignore file or a folder has changed: decide anew."""
        with self._lock:
            self._changes += 1
            self._cache.clear()
            self._others = None

    def folder(self, path: bytes) -> FolderRules:
        """The rules for the files of one folder."""
        with self._lock:
            found = self._cache.get(path)
            if found is not None:
                self._cache.move_to_end(path)
                return found
            changes = self._changes
        found = self._decide(path)
        with self._lock:
            if changes != self._changes:
                return found  # read before the change, perhaps
            self._cache[path] = found
            if len(self._cache) > CACHED_FOLDERS:
                self._cache.popitem(last=False)
        return found

    def _decide(self, path: bytes) -> FolderRules:
        if not path:
            return self._with_ignore_files(FolderRules(path, None, self._own, self._include))
        above = self.folder(paths.parent(path))
        name = paths.name(path)
        refused = above.refused
        if refused is None and not self._recursive:
            refused = "it lies in a sub-folder, and `recursive` is false"
        if refused is None and built_in(name):
            refused = f"its folder {os.fsdecode(name)!r} is on the built-in list of hidden and system folders"
        if refused is None and self._is_of_others(path):
            refused = "its folder belongs to another watch, to an output or to hotfolder's state"
        if refused is None and (origin := _left_out(above.patterns, os.fsdecode(path) + "/")):
            refused = f"its folder is left out: {origin}"
        if refused is not None:
            return FolderRules(path, refused, (), None)
        return self._with_ignore_files(FolderRules(path, None, above.patterns, self._include))

    def _is_of_others(self, folder: bytes) -> bool:
        others = self._others
        if others is None:
            others = self._others = frozenset(self._not_below())
        return folder in others

    def _with_ignore_files(self, rules: FolderRules) -> FolderRules:
        """The same with what the ignore files in the folder ask for, and the output's mark.

        Raises OSError where this process is short of something: that means nothing for the folder.
        """
        try:
            root_fd = atomic.open_root(self._root)
            try:
                fd = atomic.open_folder(root_fd, rules.path)
            finally:
                os.close(root_fd)
        except OSError as error:
            if error.errno in faults.SHORT:
                raise
            return rules  # who walks or opens the folder meets the same error, and reports it
        try:
            if rules.path and outputs.is_ours(fd):
                return FolderRules(rules.path, "its folder is an output of hotfolder (CACHEDIR.TAG)", (), None)
            for name in self._ignore_files:
                text = _read(fd, name, rules.path)
                if text is None:
                    continue
                origin = paths.show(paths.join(rules.path, name))
                if not text.strip():
                    return FolderRules(rules.path, f"the empty {origin} leaves its folder out", (), None)
                base = os.fsdecode(rules.path) + "/" if rules.path else ""
                lines = text.decode("utf-8", "surrogateescape").splitlines()
                try:
                    spec = _spec(lines)
                except (ValueError, re.error) as error:
                    log.warning("ignore_file_unreadable", path=rules.path + b"/" + name, error=error)
                    continue
                patterns = (*rules.patterns, _Patterns(base, spec, f"a pattern of {origin} matches it"))
                rules = FolderRules(rules.path, None, patterns, rules.include)
            return rules
        finally:
            os.close(fd)


def _read(folder_fd: int, name: bytes, folder: bytes) -> bytes | None:
    """An ignore file's text, bounded; None where there is no regular, readable one."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in faults.SHORT:
            raise
        log.warning("ignore_file_unreadable", path=folder + b"/" + name, error=error)
        return None
    try:
        return os.read(fd, IGNORE_FILE_MAX)
    except OSError:
        return None  # a folder of that name
    finally:
        os.close(fd)
