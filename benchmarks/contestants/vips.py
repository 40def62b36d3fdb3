"""libvips' part of compare.py, through pyvips: ``vips.py IN OUT (thumbnails|full) WORKERS QUALITY PRESETS``.

One decode a photo at the scale that the largest preset needs, everything from it.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pyvips

source, target, mode, workers, quality, table = sys.argv[1:]
presets = json.loads(table)
options = {"Q": int(quality), "interlace": True, "optimize_coding": True}


def work(name: str) -> None:
    path, stem = os.path.join(source, name), os.path.splitext(name)[0]
    header = pyvips.Image.new_from_file(path)
    turned = header.get_typeof("orientation") and header.get("orientation") >= 5
    wide, high = (header.height, header.width) if turned else (header.width, header.height)
    ratios = [(p["fit"], p["width"] / wide, p["height"] / high) for p in presets]
    factor = max(max(x, y) if fit == "cover" else min(x, y, 1) for fit, x, y in ratios)
    size = (round(wide * factor), round(high * factor))
    if mode == "full":
        whole = pyvips.Image.new_from_file(path).autorot().copy_memory()
        whole.jpegsave(os.path.join(target, f"{stem}_optimized.jpg"), **options)
        base = whole.thumbnail_image(size[0], height=size[1], size="force").copy_memory()
    else:
        base = pyvips.Image.thumbnail(path, size[0], height=size[1], size="force").copy_memory()
    for p in presets:
        how = {"crop": "centre"} if p["fit"] == "cover" else {"size": "down"}
        thumbnail = base.thumbnail_image(p["width"], height=p["height"], **how)
        thumbnail.jpegsave(os.path.join(target, f"{stem}_{p['name']}.jpg"), keep="none", **options)


with ThreadPoolExecutor(int(workers)) as pool:
    list(pool.map(work, sorted(os.listdir(source))))
