"""HEIC and HEIF: HEVC in an ISO base media file, as phones write it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hotfolder.imaging.containers import boxes, items
from hotfolder.imaging.formats import apple
from hotfolder.imaging.formats.format import Format
from hotfolder.imaging.formats.values import Extra, GainMap, Memory, Samples

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.colour.signals import Cicp
    from hotfolder.imaging.formats.opening import Found


class Heif(Format):
    """By libheif, in the extra of the same name."""

    name = "heif"
    brands = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
    extensions = ("heic", "heif", "hif")
    media_type = "image/heic"
    plugins = ("HEIF",)
    distribution = "pillow-heif"
    extra = Extra("heif", "pillow_heif", "HEIC and HEIF")
    is_risky = True
    is_photo = True
    memory = Memory(decoding=12)

    def cut_short(self, data: bytes) -> bool:
        return boxes.cut(data)

    def claimed(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Its decoder refuses what is beyond its own limits without saying why."""
        return items.claimed(data)

    def open(self, data: bytes) -> Found:
        import pillow_heif

        pillow_heif.register_heif_opener()
        return super().open(data)

    def is_upright(self, image: Image.Image) -> bool:
        return True

    def cicp(self, data: bytes) -> Cicp | None:
        from hotfolder.imaging.colour.signals import of_properties

        return of_properties(data, items.said(data))

    def gain_map(self, data: bytes) -> GainMap | None:
        return apple.find(data)

    def samples(self, data: bytes, size: tuple[int, int], scale: int, look: Callable[[], None]) -> Samples | None:
        from hotfolder.imaging.formats import heifplanes

        return heifplanes.samples(data, size, scale, look)

    def codes(self, data: bytes) -> Any:
        import numpy as np
        import pillow_heif

        from hotfolder.imaging.colour import deep

        image = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        codes = np.asarray(image)
        return deep.straight(codes) if image.premultiplied_alpha and codes.ndim == 3 else codes


FORMAT = Heif()
