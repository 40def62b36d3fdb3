"""Where a picture is decoded: in the worker's own thread, or in a helper process that may die or hang in its place."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import BinaryIO, Protocol

from hotfolder import imaging
from hotfolder.keeping.atomic import Staging
from hotfolder.keeping.layout import Target
from hotfolder.keeping.sources import Facts
from hotfolder.presets import ANALYSIS
from hotfolder.working import children
from hotfolder.working.children import Child, Children
from hotfolder.working.settings import Settings

RISKY = frozenset({"raw", "heif", "avif", "jxl"})
"""Formats whose decoders hang or crash in the field."""
STUCK_MOST = 8
"""So many threads may hang; while they do, everything is decoded in helpers, which can be ended."""

Stage = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """One picture to render: its open file and its bytes, what to make of it by which plans, and what may end that."""

    fd: int
    data: bytes
    name: bytes
    parts: tuple[imaging.Part, ...]
    limits: imaging.Limits
    stop: imaging.Stop


class Work(Protocol):
    """A picture whose header has been read."""

    need: int
    """Bytes of memory that rendering takes."""
    sizes: dict[str, tuple[int, int]]
    """Width and height that each rendition of the first plan will have; 0 for a copy that cannot be made."""
    facts: Facts

    def render(
        self, staging: Staging, targets: Mapping[str, Target], stage: Stage, only: Collection[str]
    ) -> imaging.Rendered:
        """Those of the presets that are in `only`, into temporary files. Raises SourceError, OSError."""


class Isolation:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.children = Children(settings)
        self._given_up: list[threading.Thread] = []

    def give_up(self, thread: threading.Thread) -> None:
        """Its decode hangs; it may still come back."""
        self._given_up = [*self._hung(), thread]

    @property
    def stuck(self) -> int:
        """Threads that were given up and have not ended."""
        return len(self._hung())

    def _hung(self) -> list[threading.Thread]:
        return [thread for thread in self._given_up if thread.is_alive()]

    def applies(self, data: bytes, name: bytes, *, suspect: bool) -> bool:
        """Whether a helper decodes this. Raises SourceError for what is no image at all."""
        mode = self._settings.isolate
        if mode != "auto":
            return mode == "always"
        return suspect or self.stuck >= STUCK_MOST or imaging.sniff(data, name) in RISKY

    @contextmanager
    def opened(self, asked: Asked, *, isolated: bool) -> Iterator[Work]:
        """Read the header. Raises SourceError, MissingExtra; Died where that killed the helper."""
        if not isolated:
            yield _Here(asked)
            return
        with self.children.borrow() as child:
            work = _InChild(child, asked)
            try:
                yield work
            finally:
                work.forget()


class _Here:
    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._opened = imaging.open_image(asked.data, asked.limits, asked.name)
        self.need = max(imaging.peak(self._opened, plan, presets) for plan, presets in asked.parts)
        self.sizes = imaging.sizes(self._opened, asked.parts[0][0])
        opened = self._opened
        self.facts = Facts(opened.decoder, opened.format, opened.width, opened.height)

    def render(
        self, staging: Staging, targets: Mapping[str, Target], stage: Stage, only: Collection[str]
    ) -> imaging.Rendered:
        def create(preset: str) -> BinaryIO:
            return staging.create(targets[preset])

        asked = self._asked
        chosen = imaging.narrowed(asked.parts, only)
        with asked.stop.guarding():
            return imaging.render_parts(self._opened, chosen, create, asked.limits, asked.name, stage)


class _InChild:
    """Two questions: how much memory it takes, and, when that is there, to render into these files."""

    def __init__(self, child: Child, asked: Asked) -> None:
        self._child = child
        self._names = [name for _, names in asked.parts for name in names]
        self._waits = True
        question = {
            "name": os.fsdecode(asked.name), "size": len(asked.data), "limits": asdict(asked.limits),
            "parts": [(plan.to_json(), presets) for plan, presets in asked.parts],
        }  # fmt: skip
        try:
            answer = child.ask(question, [asked.fd])
        except BaseException:
            self._waits = False
            raise
        self.need = int(answer["need"])
        self.facts = Facts(*answer["facts"])
        self.sizes = {preset: (size[0], size[1]) for preset, size in answer["sizes"].items()}

    def render(
        self, staging: Staging, targets: Mapping[str, Target], stage: Stage, only: Collection[str]
    ) -> imaging.Rendered:
        names = [name for name in self._names if name in only]
        presets = [name for name in names if name != ANALYSIS]
        files = [staging.create(targets[preset]).fileno() for preset in presets]
        self._waits = False
        answer = self._child.ask({"go": True, "presets": names}, files)
        for name, seconds in answer["stages"].items():
            stage(name, seconds)
        rendered = children.rendered(answer)
        made = {output.preset for output in rendered.outputs if output.note != "kept"}
        for preset in presets:
            if preset not in made:
                staging.drop(preset)
        return rendered

    def forget(self) -> None:
        if self._waits:
            self._child.tell({"go": False})


def parts(wanted: Mapping[str, imaging.Plan]) -> tuple[imaging.Part, ...]:
    """Presets that share a plan together, in a lasting order."""
    by_plan: dict[str, list[str]] = {}
    plans: dict[str, imaging.Plan] = {}
    for preset, plan in wanted.items():
        plans[plan.signature] = plan
        by_plan.setdefault(plan.signature, []).append(preset)
    return tuple((plans[signature], tuple(by_plan[signature])) for signature in sorted(by_plan))
