"""From what callers write to images below a root: paths, globs and outputs, with every way out closed.

A path is absolute, or ``<watch>:<path below its root>``; with one watch its name may be left out. Links and ``..`` are
resolved before it is decided whether it lies below a root; the worker opens it without following any link again.
Everything here touches a root: never called on an event loop.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from hotfolder import probe
from hotfolder.paths import show
from hotfolder.services.errors import Invalid, NotFound, Outside, Unavailable
from hotfolder.services.offline import Knowing
from hotfolder.store import atomic, layouts
from hotfolder.store.names import NAME_MAX
from hotfolder.watcher.watcher import Watcher

T = TypeVar("T")

AWAY_SECONDS = 30
"""When to try again what needs a root that does not answer."""
HITS_MOST = 1000
SCANNED_MOST = 1_000_000
"""Entries that one glob may look at."""
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Named:
    """An image: its watch, its path below the root, and what the caller calls it."""

    watcher: Watcher
    path: bytes
    name: str


def watcher(known: Knowing, name: str) -> Watcher:
    """The watch of this name. Raises NotFound."""
    found = known.watchers.get(name)
    if found is None:
        raise NotFound(f"no watch is called {name}")
    return found


def _outside(text: str) -> Outside:
    """`text` is what the caller wrote: of the server it means nothing."""
    return Outside(f"{show(os.fsencode(text))}: lies below no watched root")


def _locate(known: Knowing, path: str, text: str) -> tuple[Watcher, bytes]:
    """The watch that owns an absolute path, and the path below its root: the innermost root owns it.

    Raises Invalid, Outside, Unavailable.
    """
    watchers = list(known.watchers.values())
    # Whoever names many paths of one root that hangs waits for one of them.
    place = max((each.config.path for each in watchers if is_below(path, each.config.path)), key=len, default=path)
    try:
        real = answered(place, lambda: os.path.realpath(path))
    except ValueError as error:
        raise Invalid("path", "has a NUL character") from error
    best: tuple[Watcher, str] | None = None
    for watcher in watchers:
        root = _real_root(watcher.config.path, int(time.monotonic()))
        if is_below(real, root) and (best is None or len(root) > len(best[1])):
            best = (watcher, root)
    if best is None:
        raise _outside(text)
    relative = os.path.relpath(real, best[1])
    return best[0], b"" if relative == "." else os.fsencode(relative)


def answered(place: str, call: Callable[[], T]) -> T:
    """What the call returns, which touches nothing that may hang but `place`. Raises what it raises, and Unavailable
    where that does not answer."""
    try:
        return probe.ask(place, call)
    except probe.Silent as silent:
        raise Unavailable(f"{silent}; see to its mount", retry_after=AWAY_SECONDS) from silent


@functools.lru_cache(maxsize=1024)
def _real_root(path: str, second: int) -> str:
    """Asked once a second: a request names up to a thousand paths."""
    return probe.real_path(path)


def is_below(path: str, root: str) -> bool:
    """Whether a path is the root, or lies below it; both resolved."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def resolve(known: Knowing, text: str, field: str) -> Named:
    """One path as a caller passes it. Raises Invalid, Outside."""
    watcher, path = _split(known, text, field)
    full = path if watcher is None else os.path.join(watcher.config.path, path.lstrip("/"))
    owner, relative = _locate(known, full, text)
    return Named(owner, relative, text)


def _split(known: Knowing, text: str, field: str) -> tuple[Watcher | None, str]:
    """The watch that is named, and the rest; no watch for an absolute path."""
    if text.startswith("/"):
        return None, text
    watchers = dict(known.watchers)
    head, colon, rest = text.partition(":")
    if colon and head in watchers:
        return watchers[head], rest
    if len(watchers) == 1:
        return next(iter(watchers.values())), text
    raise Invalid(field, f"begin with the watch: {', '.join(f'{name}:…' for name in sorted(watchers))}")


def matching(known: Knowing, glob: str) -> list[Named]:
    """The images that match, in order. `*` and `?` stay within a folder, `**` is any number of folders.

    Raises Outside for what lies below no root, Invalid for none and for more than HITS_MOST.
    """
    watcher, pattern = _split(known, glob, "glob")
    parts = pattern.strip("/").split("/")
    if ".." in parts:
        raise _outside(glob)
    literal = 0
    while literal < len(parts) - 1 and not _WILD.search(parts[literal]):
        literal += 1
    start, rest = "/".join(parts[:literal]), parts[literal:]
    base = "/" + start if watcher is None else os.path.join(watcher.config.path, start)
    owner, folder = _locate(known, base, glob)
    head = glob[: len(glob) - len("/".join(rest))]
    found = []
    for path in _walk(owner, folder, rest):
        below = path[len(folder) :].lstrip(b"/") if folder else path
        found.append(Named(owner, path, head + show(below)))
        if len(found) > HITS_MOST:
            raise Invalid("glob", f"more than {HITS_MOST} images match; give a narrower one")
    if not found:
        raise Invalid("glob", "no image matches")
    return sorted(found, key=lambda each: each.path)


def _walk(watcher: Watcher, start: bytes, pattern: list[str]) -> Iterator[bytes]:
    """Sources below the folder that match, each once; links are not followed, ignored folders not entered."""
    root_fd = atomic.open_root(watcher.site.root)
    left = SCANNED_MOST
    seen: set[tuple[bytes, int]] = set()
    waiting = [(start, 0)]
    try:
        while waiting:
            folder, at = waiting.pop()
            if (folder, at) in seen or not watcher.rules.enters(folder):
                continue
            seen.add((folder, at))
            deep = pattern[at] == "**"
            if deep and at + 1 < len(pattern):
                waiting.append((folder, at + 1))
            matches = re.compile(fnmatch.translate("*" if deep else pattern[at])).match
            last = at == len(pattern) - 1
            for name, is_folder in _entries(root_fd, folder):
                left -= 1
                if left < 0:
                    raise Invalid("glob", f"it looks at more than {SCANNED_MOST} entries; give a narrower one")
                if not matches(os.fsdecode(name)):
                    continue
                path = folder + b"/" + name if folder else name
                if is_folder and deep:
                    waiting.append((path, at))
                elif is_folder and not last:
                    waiting.append((path, at + 1))
                elif not is_folder and last and watcher.rules.is_source(path):
                    yield path
    finally:
        os.close(root_fd)


def _entries(root_fd: int, folder: bytes) -> list[tuple[bytes, bool]]:
    try:
        fd = atomic.open_folder(root_fd, folder)
    except OSError:
        return []  # gone meanwhile, or not ours to read: nothing there matches
    try:
        with os.scandir(fd) as entries:
            return [
                (os.fsencode(entry.name), entry.is_dir(follow_symlinks=False))
                for entry in entries
                if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
            ]
    finally:
        os.close(fd)


def output_below(known: Knowing, output: str, named: list[Named]) -> str:
    """The folder for results, relative to the output of the images' watch. Raises Invalid, Outside.

    Not among the renditions that watches make by themselves, nor where another watch takes its sources from.
    """
    watchers = {id(each.watcher): each.watcher for each in named}
    found = {_below(known, output, watcher) for watcher in watchers.values()}
    if len(found) != 1:
        raise Invalid("output", "give a folder below the output of all images' watches, as a relative path")
    relative = found.pop()
    parts = relative.split("/")
    own = {os.fsdecode(area) for area in layouts.areas()}
    if own & set(parts):
        raise Invalid("output", f"a folder called {' or '.join(sorted(own))} is for hotfolder itself")
    if any(len(os.fsencode(part)) > NAME_MAX for part in parts):
        raise Invalid("output", f"a name has at most {NAME_MAX} bytes")
    return "" if relative == "." else relative


def _below(known: Knowing, output: str, watcher: Watcher) -> str:
    own, second = watcher.config.output, int(time.monotonic())
    try:
        real = answered(own, lambda: os.path.realpath(os.path.join(own, output)))
    except ValueError as error:
        raise Invalid("output", "has a NUL character") from error
    root = _real_root(own, second)
    if not is_below(real, root):
        others = [_real_root(each.config.output, second) for each in known.watchers.values()]
        if output.startswith("/") and any(is_below(real, other) for other in others):
            raise Invalid("output", "lies below the output of another watch than the images'")
        raise Outside("the output lies below no configured output")
    for other in known.watchers.values():
        source_root = _real_root(other.config.path, second)
        if is_below(source_root, root) and is_below(real, source_root):
            raise Invalid("output", f"images are taken from there by the watch {other.config.name}")
    return os.path.relpath(real, root)
