"""The decoded source, from which everything is made: planes for what becomes a JPEG, an image for all else."""

from __future__ import annotations

from functools import cached_property

from PIL import Image

from hotfolder.imaging import formats, native
from hotfolder.imaging.decoding.decode import Opened, decode
from hotfolder.imaging.decoding.guard import guarded
from hotfolder.imaging.native import Picture
from hotfolder.imaging.plan import Plan, Size, Step
from hotfolder.imaging.rendering import resize
from hotfolder.presets import Preset


class Base:
    """One decoded source. Raises SourceError when made; later only where a Stop ends it.

    `decoded`: the planes that it was decoded as; None where it was decoded as an image.
    """

    def __init__(self, opened: Opened, plan: Plan) -> None:
        self._opened, self._plan = opened, plan
        with guarded(opened.decoder, opened.data, opened.kind):
            self.decoded = native.decode(opened, plan.scale(opened.size))
            if self.decoded is None and _becomes_jpegs(plan):
                self.decoded = native.read(opened, plan.scale(opened.size))
        if self.decoded is None:
            native.look()
            self.image = decode(opened, plan)
        native.look()

    @property
    def mode(self) -> str:
        """Of its `image`."""
        return self.image.mode if self.decoded is None else self.decoded.mode

    @cached_property
    def image(self) -> Image.Image:
        """All of it, upright, as large as it was decoded: expensive where it was decoded as planes."""
        assert self.decoded is not None
        scale = self._plan.scale(self._opened.size)
        return self.small((-(-self._opened.width // scale), -(-self._opened.height // scale)))

    @cached_property
    def planes(self) -> Picture | None:
        """As much of it as thumbnails need; None where only the image serves."""
        if self.decoded is not None:
            return self.decoded
        return native.draw(self.image, self._plan.shrunk(self._opened.size, self.image.size))

    def small(self, size: Size) -> Image.Image:
        """All of it at this size, averaged; where that costs more than it saves, larger."""
        return self.image if self.decoded is None else self.decoded.averaged(size).image()

    def step(self, step: Step) -> Image.Image:
        """The picture of one step, whose parent is the base."""
        planes = self.planes if _is_jpeg(step.preset) else self.decoded
        if planes is None:
            return resize.apply(step, self.image)
        return planes.scaled(step.size, resize.crop(step, planes), halved=False).image()


def _becomes_jpegs(plan: Plan) -> bool:
    """Whether all that is made of it are JPEGs: then no one sees that colours were planes in between."""
    return plan.optimize is None and all(_is_jpeg(preset) for preset in plan.presets)


def _is_jpeg(preset: Preset) -> bool:
    return formats.of(preset.format).in_planes
