"""Draws docs/enhanced.jpg: photos before and after `optimize.auto_enhance`.

python docs/internals/draw_enhanced.py FOLDER NAME…      # NAME:dark and NAME:flat are spoilt first
"""

from __future__ import annotations

import os
import sys

from PIL import Image

from hotfolder.imaging import enhance

WIDE, HIGH = 300, 210


def spoilt(image: Image.Image, how: str) -> Image.Image:
    if how == "dark":
        return image.point(lambda value: round(value * 0.4))
    return image.point(lambda value: round(75 + value * 0.4)) if how == "flat" else image


def main(folder: str, names: list[str]) -> None:
    sheet = Image.new("RGB", (4 * WIDE, -(-len(names) // 2) * HIGH), "white")
    for at, name in enumerate(names):
        file, _, how = name.partition(":")
        with Image.open(os.path.join(folder, file)) as photo:
            image = photo.convert("RGB")
        image.thumbnail((1200, 1200))
        before = spoilt(image, how)
        for side, picture in enumerate((before, enhance.improved(before))):
            small = picture.copy()
            small.thumbnail((WIDE - 6, HIGH - 6))
            sheet.paste(small, ((2 * (at % 2) + side) * WIDE, at // 2 * HIGH))
    sheet.save("docs/enhanced.jpg", quality=80)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
