"""The output of a watch: opened, checked, and whose fault it is when something goes wrong there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from hotfolder import faults
from hotfolder.errors import Reason, SourceError
from hotfolder.faults import Operation
from hotfolder.store import atomic, outputs
from hotfolder.watches.site import Site

SMALL_SHARE = 0.05
"""On a file system that is no larger than `limits.min_free` this share has to be free instead."""


def writing(site: Site) -> AbstractContextManager[None]:
    """What goes wrong within it is the output's fault, or that of a name on it, or the machine's."""
    return faults.during(Operation.WRITE, f"the output {site.output} cannot be written")


@contextmanager
def opened(site: Site) -> Iterator[int]:
    """The output root's descriptor. Raises SourceError for what goes wrong with the output, here and within."""
    with writing(site):
        fd = atomic.open_root(site.output)
        try:
            yield fd
        finally:
            os.close(fd)


def check(site: Site, min_free: int) -> None:
    """Raises SourceError(OUTPUT_ERROR) where nothing can be written, before anything is decoded for it."""
    with opened(site) as fd:
        found = os.fstatvfs(fd)
        if found.f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    site.habits.name_max = outputs.name_max(found)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    if total and free < (min_free if total > min_free else SMALL_SHARE * total):
        text = f"only {free // 1_000_000} MB are free, less than limits.min_free; free some space"
        raise SourceError(Reason.OUTPUT_ERROR, f"the output {site.output} is nearly full: {text}")
