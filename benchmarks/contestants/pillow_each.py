"""Pillow's part of compare.py, as scripts use it: ``pillow_each.py IN OUT (thumbnails|full) WORKERS QUALITY PRESETS``.

One open for each preset.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from PIL import Image, ImageOps

source, target, mode, workers, quality, table = sys.argv[1:]
presets = json.loads(table)


def save(image: Image.Image, stem: str, name: str) -> None:
    image.save(os.path.join(target, f"{stem}_{name}.jpg"), quality=int(quality), progressive=True, optimize=True)


def work(name: str) -> None:
    path, stem = os.path.join(source, name), os.path.splitext(name)[0]
    for preset in presets:
        with Image.open(path) as image:
            size = (preset["width"], preset["height"])
            upright = ImageOps.exif_transpose(image)
            if preset["fit"] == "cover":
                upright = ImageOps.fit(upright, size, Image.Resampling.LANCZOS)
            else:
                upright.thumbnail(size, Image.Resampling.LANCZOS)
            save(upright, stem, preset["name"])
    if mode == "full":
        with Image.open(path) as image:
            save(ImageOps.exif_transpose(image), stem, "optimized")


with ThreadPoolExecutor(int(workers)) as pool:
    list(pool.map(work, sorted(os.listdir(source))))
