"""Truevision TGA, which has no mark: the name decides, and a header that could be one."""

from __future__ import annotations

from hotfolder.imaging.formats.format import Format


class Tga(Format):
    """Truevision TGA."""

    name = "tga"
    extensions = ("tga",)
    media_type = "image/x-tga"
    plugins = ("TGA",)

    def recognises(self, data: bytes, extension: bytes) -> bool:
        return (
            extension == b".tga"
            and len(data) >= 18
            and data[1] in (0, 1)
            and data[2] in (1, 2, 3, 9, 10, 11)
            and data[16] in (8, 15, 16, 24, 32)
        )


FORMAT = Tga()
