"""How near each rendition is to a reference made by libvips: SSIM and mean colour difference, as docs/fidelity.md.

    python benchmarks/fidelity.py PHOTOS [--write docs/fidelity.md]

Renditions are written as PNG, so that resampling and colour are judged and not the loss of JPEG; the JPEG that users
get is measured beside it against the same reference. Reference: `vips thumbnail` to the same size and crop, sRGB, alpha
on white. libvips is fetched by pip into a folder of its own (.venv/reference) where it is missing.
How SSIM and colour differences are computed: likeness.py.
"""

from __future__ import annotations

import argparse
import importlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from likeness import difference, ssim
from PIL import Image, ImageCms, ImageDraw

from hotfolder.imaging import Limits, Plan, open_image, render
from hotfolder.imaging.colour import profiles
from hotfolder.imaging.plan import crop_box
from hotfolder.presets import BUILT_IN, OPTIMIZED, OptimizeSpec, Preset

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / ".venv/reference"
SSIM_LEAST, DELTA_MOST = 0.99, 1.0
Pixels = np.ndarray[Any, Any]


def vips() -> Any:
    """pyvips with the library it brings."""
    sys.path.append(str(REFERENCE))
    try:
        import pyvips
    except ImportError:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(REFERENCE)]
        subprocess.run([*pip, "pyvips", "pyvips-binary"], check=True)
        importlib.invalidate_caches()
        import pyvips
    return pyvips


# --- what is rendered


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chart() -> Image.Image:
    """Fine and coarse: a zone plate, ramps, patches of full and of dull colours, slanted edges, thin lines, text."""
    y, x = np.mgrid[0:1500, 0:2000].astype(np.float64)
    board = np.full((1500, 2000, 3), 128.0)
    radius = (x[:800, :800] - 400) ** 2 + (y[:800, :800] - 400) ** 2
    board[:800, :800] = (127 + 120 * np.cos(radius / 900) * (radius < 150_000))[..., None]
    board[:800, 800:1400] = np.stack([x[:800, 800:1400] % 256, y[:800, :600] % 256, (x + y)[:800, :600] % 256], -1)
    generator = np.random.default_rng(1)
    patches = generator.integers(0, 256, (8, 6, 3)).repeat(100, 0).repeat(100, 1)
    board[:800, 1400:2000] = patches
    board[800:1100] = np.stack([x[800:1100] / 2000 * 255] * 3, -1)
    board[1100:1500, :1000] = np.where((x + 0.2 * y)[1100:1500, :1000] % 200 < 100, 30, 225)[..., None]
    board[1100:1500, 1000:] = cv2.GaussianBlur(generator.normal(128, 90, (400, 1000, 3)), (0, 0), 2.5) * 1.0
    image = Image.fromarray(np.clip(board, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for at in range(12):
        draw.line([(1050 + 80 * at, 1120), (1010 + 80 * at, 1480)], "black", 1 + at % 4)
    draw.text((40, 900), "hotfolder 0123456789", "red", font_size=120)
    return image


def charts() -> Iterator[tuple[str, bytes]]:
    image = chart()
    yield "chart, PNG", encoded(image, "PNG")
    yield "chart, JPEG q95", encoded(image, "JPEG", quality=95, subsampling=0)
    yield "chart, WebP lossless", encoded(image, "WEBP", lossless=True)
    turned = Image.Exif()
    turned[0x0112] = 6
    yield "chart, JPEG turned by EXIF 6", encoded(image, "JPEG", quality=95, subsampling=0, exif=turned.tobytes())
    grey = image.convert("L")
    yield "chart, grey PNG", encoded(grey, "PNG")
    soft = cv2.GaussianBlur(np.asarray(image), (0, 0), 3)
    for name, space in spaces():
        yield f"chart in {name}, PNG", encoded(Image.fromarray(soft), "PNG", icc_profile=space.profile())
    p3, prophoto = (ImageCms.ImageCmsProfile(io.BytesIO(each)) for each in (profiles.display_p3(), PROPHOTO))
    wide = ImageCms.profileToProfile(
        Image.fromarray(soft), p3, prophoto, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    assert wide is not None
    yield "chart of P3 colours in ProPhoto RGB, PNG", encoded(wide, "PNG", icc_profile=PROPHOTO)
    deep = soft.astype(np.uint16) * 257
    yield "chart, 16-bit PNG", cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    yield "chart, 16-bit TIFF", cv2.imencode(".tiff", deep[..., ::-1])[1].tobytes()
    alpha = image.convert("RGBA")
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((200, 100, 1800, 1400), 255)
    alpha.putalpha(mask)
    yield "chart with alpha, PNG", encoded(alpha, "PNG")
    inks = vips().Image.new_from_buffer(encoded(Image.fromarray(soft), "PNG"), "")
    inks = inks.icc_transform("cmyk", input_profile="srgb")
    yield "chart in inks with a profile, JPEG", inks.write_to_buffer(".jpg[Q=97]")


def spaces() -> list[tuple[str, profiles.Space]]:
    adobe = profiles.columns((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), profiles.D65)
    return [
        ("Display P3", profiles.Space("Display P3", profiles.columns(*profiles.PRIMARIES[12]))),
        ("Adobe RGB", profiles.Space("Adobe RGB (compatible)", adobe, 563 / 256)),
    ]


D50 = (0.34567, 0.35850)
PROPHOTO = profiles.Space(
    "ProPhoto (compatible)",
    profiles.columns((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), D50),
    1.8,
).profile()


# --- how it is rendered


def ours(data: bytes, presets: tuple[Preset, ...], optimize: OptimizeSpec | None) -> dict[str, bytes]:
    """Each thumbnail's file, by all presets together as the daemon makes them."""
    files: dict[str, BinaryIO] = {}

    def create(name: str) -> BinaryIO:
        files[name] = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        return files[name]

    plan = Plan(presets, optimize)
    render(open_image(data, Limits()), plan, [name for name in plan.names() if name != OPTIMIZED], create)
    made = {}
    for name, file in files.items():
        file.seek(0)
        made[name] = file.read()
        file.close()
    return made


def reference(whole: Any, preset: Preset, size: tuple[int, int]) -> Pixels:
    """`vips thumbnail` of the whole decoded picture, without libjpeg's or libwebp's scaling while they load."""
    if preset.fit == "cover":  # cropped first: libvips' own crop falls on whole pixels of the small picture
        left, top, right, low = (round(each) for each in crop_box((whole.width, whole.height), size))
        whole = whole.crop(left, top, right - left, low - top)
    image = whole.thumbnail_image(size[0], height=size[1], size="force", export_profile="srgb")
    if image.hasalpha():
        image = image.flatten(background=[255 * 257 if image.format == "ushort" else 255] * 3)
    image = image.colourspace("b-w" if image.bands == 1 else "srgb").cast("uchar")
    return np.asarray(Image.fromarray(image.numpy()).convert("RGB"))


def whole_of(data: bytes) -> Any:
    """The picture as libvips decodes it, upright. Inks become sRGB here: `thumbnail` itself knows no black point."""
    image = vips().Image.new_from_buffer(data, "").autorot()
    if image.interpretation == "cmyk":
        image = image.icc_transform("srgb", embedded=True, intent="relative", black_point_compensation=True)
    return image.copy_memory()


# --- how near it is: the table


@dataclass(frozen=True, slots=True)
class Row:
    """One source: the worst of its renditions, as PNG and as the JPEG of quality 85 that users get."""

    name: str
    ssim: float
    delta: float
    worst: str
    jpeg_ssim: float
    jpeg_delta: float

    @property
    def good(self) -> bool:
        return self.ssim >= SSIM_LEAST and self.delta < DELTA_MOST


def measured(name: str, data: bytes) -> Row:
    built_in = tuple(BUILT_IN.values())
    presets = built_in + tuple(replace(preset, name=f"{preset.name}, exact", format="png") for preset in built_in)
    whole = whole_of(data)
    goals: dict[tuple[str, tuple[int, int]], Pixels] = {}
    exact: list[tuple[float, float, str]] = []
    lossy: list[tuple[float, float, str]] = []
    for optimize in (None, OptimizeSpec()):
        made = ours(data, presets, optimize)
        for preset in presets:
            pixels = on_white(Image.open(io.BytesIO(made[preset.name])))
            size = (pixels.shape[1], pixels.shape[0])
            base = preset.name.removesuffix(", exact")
            if (base, size) not in goals:
                goals[base, size] = reference(whole, preset, size)
            goal = goals[base, size]
            label = base if optimize else f"{base}, scaled decode"
            near = (ssim(pixels, goal), difference(pixels, goal), label)
            (exact if preset.format == "png" else lossy).append(near)
    return Row(
        name,
        min(exact)[0],
        max(delta for _, delta, _ in exact),
        min(exact)[2],
        min(lossy)[0],
        max(delta for _, delta, _ in lossy),
    )


def on_white(image: Image.Image) -> Pixels:
    if image.mode == "RGBA":
        board = Image.new("RGB", image.size, "white")
        board.paste(image, mask=image.getchannel("A"))
        image = board
    return np.asarray(image.convert("RGB"))


def table(rows: list[Row]) -> str:
    head = (
        "| source | SSIM, worst | mean ΔE2000, worst | worst rendition | as JPEG q85: SSIM | ΔE2000 |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    lines = [
        f"| {row.name} | {row.ssim:.4f}{'' if row.ssim >= SSIM_LEAST else ' ✗'} | {row.delta:.2f}"
        f"{'' if row.delta < DELTA_MOST else ' ✗'} | {row.worst} | {row.jpeg_ssim:.4f} | {row.jpeg_delta:.2f} |\n"
        for row in rows
    ]
    return head + "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="?", help="a folder of photos to measure beside the charts")
    parser.add_argument("--write", type=Path, help="write the table into this document, between its two marks")
    chosen = parser.parse_args()
    library = vips()
    rows = [measured(name, data) for name, data in charts()]
    photos = sorted(chosen.photos.iterdir()) if chosen.photos else []
    photos = [path for path in photos if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")]
    rows += [measured(path.name, path.read_bytes()) for path in photos]
    good = sum(row.good for row in rows)
    versions = f"libvips {library.version(0)}.{library.version(1)}.{library.version(2)}"
    met = f"SSIM ≥ {SSIM_LEAST} and mean ΔE2000 < {DELTA_MOST:g} in every rendition ({versions})"
    text = f"{good} of {len(rows)} sources meet {met}.\n\n{table(rows)}"
    print(text)
    if chosen.write:
        document = chosen.write.read_text()
        before, mark, rest = document.partition("<!-- table -->\n")
        _, end, after = rest.partition("<!-- end -->")
        chosen.write.write_text(f"{before}{mark}\n{text}\n{end}{after}")
    sys.exit(good < len(rows))


if __name__ == "__main__":
    main()
