"""The decoded source, from which everything is made: planes where the accelerator serves, otherwise an image."""

from __future__ import annotations

from functools import cached_property

from PIL import Image

from hotfolder.imaging import native
from hotfolder.imaging.decoding.decode import Opened, decode
from hotfolder.imaging.decoding.guard import guarded
from hotfolder.imaging.plan import Plan, Size, Step
from hotfolder.imaging.rendering import resize


class Base:
    """`planes` is None where Pillow has decoded. Raises SourceError when made, and never later."""

    def __init__(self, opened: Opened, plan: Plan) -> None:
        self._opened, self._plan = opened, plan
        with guarded(opened.decoder, opened.data, opened.kind):
            self.planes = native.decode(opened, plan.scale(opened.size))
        if self.planes is None:
            native.look()
            self.image = decode(opened, plan)
        native.look()

    @cached_property
    def image(self) -> Image.Image:
        """All of it, upright, as large as it was decoded: expensive where there are planes."""
        assert self.planes is not None
        scale = self._plan.scale(self._opened.size)
        return self.small((-(-self._opened.width // scale), -(-self._opened.height // scale)))

    def small(self, size: Size) -> Image.Image:
        """All of it at this size, averaged; where that costs more than it saves, larger."""
        return self.image if self.planes is None else self.planes.averaged(size).image()

    def step(self, step: Step) -> Image.Image:
        """The picture of one step, whose parent is the base."""
        if self.planes is None:
            return resize.apply(step, self.image)
        return self.planes.scaled(step.size, resize.crop(step, self.planes), halved=False).image()
