"""Decodes in the caller's own thread."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import BinaryIO

from hotfolder import imaging
from hotfolder.index.sources import Facts
from hotfolder.renderers.picture import Request, Stage
from hotfolder.store.layouts import Target
from hotfolder.store.staging import Staging


class PictureInThread:
    """Reads the header at once. Raises SourceError, MissingExtra."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._opened = imaging.open_image(request.data, request.limits, request.name)
        self.need = max(imaging.peak(self._opened, plan, presets) for plan, presets in request.parts)
        self.sizes = imaging.sizes(self._opened, request.parts[0][0])
        opened = self._opened
        self.facts = Facts(decoder=opened.decoder, format=opened.format, width=opened.width, height=opened.height)

    def render(
        self, staging: Staging, targets: Mapping[str, Target], stage: Stage, only: Collection[str]
    ) -> imaging.Rendered:
        def create(preset: str) -> BinaryIO:
            return staging.create(targets[preset])

        request = self._request
        chosen = imaging.narrowed(request.parts, only)
        with request.stop.guarding():
            return imaging.render_parts(self._opened, chosen, create, request.limits, request.name, stage)
