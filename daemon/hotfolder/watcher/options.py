"""How a reconcile judges what it finds."""

from __future__ import annotations

from dataclasses import dataclass

from hotfolder.index.deletions import Mark


@dataclass(frozen=True, slots=True)
class Options:
    """`verify`: the renditions are looked for, too. `dry`: nothing is written.

    `confirm`: the user has confirmed that what is not there is gone. `mark`: what is noted of a source that was not
    found.
    """

    verify: bool = False
    dry: bool = False
    confirm: bool = False
    mark: Mark = Mark.ONCE_MORE
