"""Single files from anywhere, their renditions in one folder: which goes where, and that none replaces a source.

Files whose renditions would meet keep their folders below it, from their common parent. What lies there from former
runs is replaced: without an index nobody knows whose it is.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hotfolder.errors import Reason, SourceError
from hotfolder.presets import OptimizeSpec, Preset
from hotfolder.store.layouts import Target, mirror, targets
from hotfolder.store.names import fold, rendition_path

Targets = dict[str, Target]
_AREAS = {mirror.THUMBNAILS: b"", mirror.OPTIMIZED_FOLDER: mirror.OPTIMIZED_FOLDER}


@dataclass(frozen=True, slots=True)
class Placed:
    """A source, and the folder below the output that it keeps; empty where its names meet no other's."""

    source: Path
    folder: bytes = b""

    @classmethod
    def below(cls, source: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Placed:
        """Raises ValueError for a folder that is not below."""
        parts = [part for part in os.fsencode(folder).split(b"/") if part not in (b"", b".")]
        if os.path.isabs(folder) or b".." in parts:
            raise ValueError(f'folder "{os.fspath(folder)}": it has to be a relative one, without ".."')
        return cls(Path(source), b"/".join(parts))


class Gathering:
    """One folder `to`, the sources whose renditions it gets, and who owns which path in it. Safe for threads."""

    def __init__(self, to: Path, presets: Sequence[Preset], optimize: OptimizeSpec | None) -> None:
        self._to = to
        self._presets = presets
        self._optimize = optimize
        self._lock = threading.Lock()
        self._owned = _Owned(to)
        self._sources: dict[tuple[int, int, bytes], list[str]] = {}

    def targets(self, placed: Placed) -> Targets:
        """Where its renditions go, by preset; the area of each is relative to `to`."""
        found = targets(mirror.LAYOUT, os.fsencode(placed.source.name), self._presets, self._optimize)
        return {
            each.preset: replace(each, area=rendition_path(b"", _AREAS[each.area], placed.folder)) for each in found
        }

    def arrange(self, sources: Iterable[Path]) -> list[Placed]:
        """All sources at once, each file once, by whatever names it was given. They are protected from now on."""
        files: dict[str, Path] = {}
        for source in sources:
            self.protect(source)
            files.setdefault(_place(source), source)
        owned, groups = _Owned(self._to), {where: [where] for where in files}
        for where, source in files.items():
            paths = _paths(self.targets(Placed(source)))
            for other in owned.by_others(paths, Path(where)):
                if groups[where] is not groups[str(other)]:
                    groups[where] += groups[str(other)]
                    groups |= dict.fromkeys(groups[where], groups[where])
            owned.add(paths, Path(where))
        return [Placed(source, _kept_folder(where, groups[where])) for where, source in files.items()]

    def protect(self, source: Path) -> None:
        """Nothing that is made replaces it, nor what it leads to where it is a symbolic link."""
        with self._lock:
            for path in {_place(source), os.path.realpath(source)}:
                if (entry := _entry(path)) is not None:
                    self._sources.setdefault(entry, []).append(path)

    def claim(self, placed: Placed) -> Targets:
        """Where its renditions go, which is its own from now on. Raises SourceError(NAME_TAKEN)."""
        found = self.targets(placed)
        paths, where = _paths(found), Path(_place(placed.source))
        with self._lock:
            for other in self._owned.by_others(paths, where):
                if not _is_same(str(other), str(where)):
                    text = f"its renditions would replace those of {other}; rename it or choose another folder for it"
                    raise SourceError(Reason.NAME_TAKEN, text)
            self._owned.add(paths, where)
        return found

    def check(self, targets: Targets) -> None:
        """Raises SourceError(NAME_TAKEN) where a rendition would replace a source."""
        for below in _paths(targets):
            path = os.path.join(self._to, os.fsdecode(below))
            with self._lock:
                found = list(self._sources.get(_entry(path) or (0, 0, b""), ()))
            for source in found:
                if os.path.basename(path) == os.path.basename(source) or _is_same(path, source):
                    text = f"its rendition {path} would replace a source of that name; choose another folder"
                    raise SourceError(Reason.NAME_TAKEN, text)


class _Owned:
    """Paths of renditions below `to`, and whose they are."""

    def __init__(self, to: Path) -> None:
        self._to = to
        self._by_key: dict[bytes, list[tuple[bytes, Path]]] = {}
        self._folds: bool | None = None

    def add(self, paths: Iterable[bytes], source: Path) -> None:
        for path in paths:
            self._by_key.setdefault(fold(path), []).append((path, source))

    def by_others(self, paths: Iterable[bytes], source: Path) -> Iterator[Path]:
        """The other sources that own one of these paths, as far as the folder distinguishes names."""
        for path in paths:
            for other_path, other in self._by_key.get(fold(path), ()):
                if other != source and (path == other_path or self._ignores_case()):
                    yield other

    def _ignores_case(self) -> bool:
        if self._folds is None:
            self._to.mkdir(parents=True, exist_ok=True)
            self._folds = ignores_case(self._to)
        return self._folds


def ignores_case(folder: Path) -> bool:
    """Whether two names that differ in case alone are one file there: asked by making one, which is removed again."""
    name = f".hotfolder-{secrets.token_hex(8)}x.tmp"
    probe = folder / name
    probe.touch(exist_ok=False)
    try:
        return (folder / name.replace("x.tmp", "X.tmp")).exists()
    finally:
        probe.unlink(missing_ok=True)


def _paths(targets: Targets) -> list[bytes]:
    return [rendition_path(b"", each.area, each.name) for each in targets.values()]


def _place(source: Path) -> str:
    """The file's name in its real folder: a symbolic link to an image is a file of its own."""
    return os.path.join(os.path.realpath(source.parent), source.name)


def _kept_folder(where: str, group: Sequence[str]) -> bytes:
    if len(group) < 2:
        return b""
    above = os.path.commonpath([os.path.dirname(each) for each in group])
    folder = os.path.relpath(os.path.dirname(where), above)
    return b"" if folder == "." else os.fsencode(folder)


def _entry(path: str) -> tuple[int, int, bytes] | None:
    """What a rename to this path would replace: a name in a folder, folded. None: there is no such folder."""
    try:
        folder = os.stat(os.path.dirname(path))
    except OSError:
        return None
    return folder.st_dev, folder.st_ino, fold(os.fsencode(os.path.basename(path)))


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except OSError:
        return False
