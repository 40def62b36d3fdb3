"""A path that means nothing is wrong usage, and is said before anything is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hotfolder import probe
from hotfolder.config import Config
from hotfolder.errors import Exit, StoppedEarly, UsageError
from hotfolder.paths import show

if TYPE_CHECKING:
    from hotfolder.services.offline import Offline

NOTHING = "there is no such file or folder, and the index knows none; look at the spelling"
NO_FILE = "there is no such file or folder; look at the spelling"


def status(*, missing: int, failed: int, others: bool) -> Exit:
    """How a command over files ends, of which so many are not there and so many failed; `others`: some were there.

    What is not there is a wrong argument. Among others it is one image that failed: their work was done.
    """
    if missing and not others:
        return Exit.USAGE
    return Exit.FAILED_IMAGES if missing or failed else Exit.OK


def check_known(config: Config, paths: Sequence[str], watch: str | None = None) -> None:
    """Each lies below a root (of this watch), and is on the disk or in the index. Raises UsageError.

    What is gone from the disk is no typo as long as the index knows it.
    """
    gone = []
    for path in paths:
        owner = _owner(config, path)
        shown = show(os.fsencode(path))
        if owner is None:
            roots = ", ".join(f"{each.path} ({each.name})" for each in config.watches)
            raise UsageError(f"{shown}: lies below no watched root; those are {roots}")
        if watch is not None and owner != watch:
            raise UsageError(f"{shown}: belongs to the watch {owner}, not to {watch}")
        _check_answers(config, owner)
        if not os.path.lexists(path):
            gone.append(path)
    if gone:
        _check_index(config, gone)


def _check_answers(config: Config, watch: str) -> None:
    root = next(each.path for each in config.watches if each.name == watch)
    try:
        probe.check(root)
    except probe.Silent as silent:
        raise StoppedEarly(f"{silent}; see to its mount") from silent


def _owner(config: Config, path: str) -> str | None:
    """The name of the watch with the innermost root above the path."""
    real = probe.real_path(path)
    found = [
        (len(root), watch.name)
        for watch in config.watches
        if (root := probe.real_path(watch.path)) and (real == root or real.startswith(root.rstrip("/") + "/"))
    ]
    return max(found)[1] if found else None


def _check_index(config: Config, paths: Sequence[str]) -> None:
    from hotfolder.cli.importing import importing

    with importing():
        from hotfolder.services.offline import reading

    with reading(config) as offline:
        for path in paths:
            if not _knows(offline, path):
                raise UsageError(f"{show(os.fsencode(path))}: {NOTHING}")


def _knows(offline: Offline, path: str) -> bool:
    from hotfolder.index import folders, sources
    from hotfolder.services import naming

    named = naming.resolve(offline, path, "path")
    connection, watch_id = offline.index.read(), named.watcher.site.id
    if sources.find(connection, watch_id, named.path) is not None:
        return True
    return folders.find(connection, watch_id, named.path) is not None
