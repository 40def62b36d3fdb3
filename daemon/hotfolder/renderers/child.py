"""Decodes in a helper process, which may die or hang in the daemon's place."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import asdict

from hotfolder import imaging
from hotfolder.index.sources import Facts
from hotfolder.presets import ANALYSIS
from hotfolder.renderers import children
from hotfolder.renderers.children import Child
from hotfolder.renderers.picture import Request, Stage
from hotfolder.store.layouts import Target
from hotfolder.store.staging import Staging


class PictureInChild:
    """Two questions: how much memory it takes, and, when that is there, to render into these files.

    Raises SourceError, MissingExtra; Died where the picture killed the helper.
    """

    def __init__(self, child: Child, request: Request) -> None:
        self._child = child
        self._names = [name for _, names in request.parts for name in names]
        self._waits = True
        question = {
            "name": os.fsdecode(request.name),
            "size": len(request.data),
            "limits": asdict(request.limits),
            "parts": [(plan.to_json(), presets) for plan, presets in request.parts],
        }
        try:
            answer = child.ask(question, [request.fd])
        except BaseException:
            self._waits = False
            raise
        self.need = int(answer["need"])
        self.facts = Facts(**answer["facts"])
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
        """It is not rendered after all; the helper waits for another."""
        if self._waits:
            self._child.tell({"go": False})
