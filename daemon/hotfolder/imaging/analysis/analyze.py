"""The analysis record of one image: what its header says, how it was taken, what its pixels tell.

Made from the picture that is decoded for the thumbnails anyway; which of those are made, or missing, changes nothing.
"""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

from PIL import Image, ImageCms

from hotfolder.imaging.colour import convert as colour
from hotfolder.imaging.decoding.decode import Limits, Opened, decode, open_image
from hotfolder.imaging.metadata import carried as metadata
from hotfolder.imaging.metadata import exif
from hotfolder.imaging.plan import Plan
from hotfolder.imaging.record import Record
from hotfolder.imaging.rendering.encode import flattened
from hotfolder.presets import AnalyzeSpec

BACKGROUND = "#ffffff"
"""What shows through where a picture is transparent, as in thumbnails."""


def analyze_bytes(data: bytes, name: bytes, limits: Limits, spec: AnalyzeSpec) -> Record:
    """The record of a whole file, decoded no larger than it needs. Raises SourceError, MissingExtra."""
    opened = open_image(data, limits, name)
    mode = opened.image.mode
    return analyze(opened, mode, decode(opened, Plan((), None, spec)), spec)


def analyze(opened: Opened, mode: str, base: Image.Image, spec: AnalyzeSpec) -> Record:
    """The record of an opened image of this mode whose upright picture is `base`."""
    found: dict[str, Any] = {}
    if spec.exif:
        found |= asdict(exif.read(opened, gps=spec.gps))
    if spec.pixels or spec.phash or spec.placeholder:
        from hotfolder.imaging.analysis import measure  # brings numpy and OpenCV

        picture = colour.convert(measure.small(base), metadata.icc_of(opened.image))[0]
        plain = flattened(picture, BACKGROUND).convert("RGB")
        few = measure.tiny(plain)
        found |= asdict(measure.measure(plain, few)) if spec.pixels else {}
        found |= {"phash": measure.phash(few)} if spec.phash else {}
        found |= {"placeholder": measure.placeholder(few if picture is plain else picture)} if spec.placeholder else {}
    return Record(
        format=opened.format,
        mode=mode,
        width=opened.width,
        height=opened.height,
        megapixels=round(opened.width * opened.height / 1e6, 3),
        orientation=opened.orientation,
        animated=opened.animated,
        profile=_profile(opened.image),
        **found,
    )


def _profile(image: Image.Image) -> str | None:
    """The name of the colour profile; None where there is none, or none that can be read."""
    icc = metadata.icc_of(image)
    if icc is None:
        return None
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None
    return "".join(c for c in name if c.isprintable()).strip()[: exif.TEXT_MAX] or None
