"""Windows bitmaps."""

from __future__ import annotations

from hotfolder.imaging.formats.format import Format


class Bmp(Format):
    """Windows bitmaps, with and without their file header's full length."""

    name = "bmp"
    marks = (b"BM",)
    extensions = ("bmp",)
    media_type = "image/bmp"
    plugins = ("BMP", "DIB")

    def cut_short(self, data: bytes) -> bool:
        return int.from_bytes(data[2:6], "little") > len(data)


FORMAT = Bmp()
