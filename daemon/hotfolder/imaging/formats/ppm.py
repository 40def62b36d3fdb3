"""Netpbm's portable anymaps."""

from __future__ import annotations

from hotfolder.imaging.formats.format import Format
from hotfolder.imaging.formats.values import Memory


class Ppm(Format):
    """PBM, PGM and PPM, as text and as bytes."""

    name = "ppm"
    extensions = ("ppm", "pgm", "pbm", "pnm")
    media_type = "image/x-portable-anymap"
    plugins = ("PPM",)
    memory = Memory(decoding=10)

    def recognises(self, data: bytes, extension: bytes) -> bool:
        return data[:1] == b"P" and data[1:2] in b"123456" and data[2:3] in b" \t\r\n"


FORMAT = Ppm()
