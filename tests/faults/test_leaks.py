"""Every format that is read and written, in every mode, whole and damaged, keeps nothing of an image that is done.

`LEAKS=20000` says how often each is made; the C code by itself is watched by the leak sanitizer (native/fuzz.py).
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from typing import Any, BinaryIO

import pytest
from PIL import Image, ImageCms

from hotfolder.errors import SourceError
from hotfolder.imaging import Limits, Plan, formats, open_image, render
from hotfolder.imaging.colour.profiles import display_p3
from hotfolder.presets import AnalyzeSpec, OptimizeSpec, Preset
from tests.growing import growth
from tests.unit.imaging import encoded, noise

TIMES = int(os.environ.get("LEAKS", "80"))
FLAT = 40_000 / TIMES + 100
"""Bytes an image: what a cache of the libraries takes once, spread, and a little."""

PRESETS = (
    Preset("a", 40, 40),
    Preset("b", 30, 30, fit="cover", format="webp", gravity="attention", sharpen=0.5, contrast=0.2),
    Preset("c", 40, 30, fit="pad", format="png", colorspace="p3"),
    Preset("d", 20, 20, fit="cover", format="avif", colorspace="keep"),
    Preset("e", 50, 30, fit="pad", progressive=False),
)
PLANS = {
    "thumbs": Plan(PRESETS, None, AnalyzeSpec(gps=True)),
    "lossy": Plan((), OptimizeSpec(max_dimension=40, sharpen=0.5, contrast=0.2, auto_enhance=True)),
    "auto": Plan((), OptimizeSpec(mode="auto")),
    "lossless": Plan((), OptimizeSpec(mode="lossless", metadata="safe")),
    "keep": Plan((), OptimizeSpec(mode="lossless", metadata="keep")),
    "strip": Plan((), OptimizeSpec(mode="lossless", metadata="strip")),
    "webp": Plan((), OptimizeSpec(format="webp", metadata="keep")),
}


def profile(space: Any) -> bytes:
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes())


def source(kind: str) -> bytes:
    """A small picture with metadata. `…-cut` ends too early."""
    if kind.endswith("-cut"):
        whole = source(kind.removesuffix("-cut"))
        return whole[: len(whole) * 2 // 3]
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    exif.get_ifd(0x8825)[1] = "N"
    image = noise(60, 40, 4).convert("RGBA").reduce(2).resize((60, 40))
    kinds: dict[str, tuple[str, str, dict[str, Any]]] = {
        "jpeg": ("RGB", "JPEG", {"exif": exif, "icc_profile": profile("sRGB")}),
        "jpeg-progressive": ("RGB", "JPEG", {"progressive": True, "icc_profile": display_p3()}),
        "jpeg-grey": ("L", "JPEG", {}),
        "jpeg-inks": ("CMYK", "JPEG", {}),
        "jpeg-other-profile": ("RGB", "JPEG", {"icc_profile": profile("LAB")}),
        "jpeg-broken-profile": ("RGB", "JPEG", {"icc_profile": profile("sRGB")[:200]}),
        "png": ("RGB", "PNG", {"exif": exif, "icc_profile": display_p3()}),
        "png-alpha": ("RGBA", "PNG", {}),
        "png-palette": ("P", "PNG", {}),
        "png-deep": ("I;16", "PNG", {}),
        "webp": ("RGB", "WEBP", {"exif": exif, "icc_profile": display_p3()}),
        "webp-lossless": ("RGBA", "WEBP", {"lossless": True}),
        "avif": ("RGB", "AVIF", {"exif": exif}),
        "tiff": ("RGB", "TIFF", {}),
        "tiff-deflate": ("RGB", "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff-jpeg": ("RGB", "TIFF", {"compression": "jpeg"}),
        "gif": ("P", "GIF", {}),
        "bmp": ("RGB", "BMP", {}),
        "ppm": ("RGB", "PPM", {}),
        "ico": ("RGBA", "ICO", {}),
        "heif": ("RGB", "HEIF", {}),
        "jxl": ("RGB", "JXL", {}),
    }
    mode, name, options = kinds[kind]
    if name == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.register_heif_opener()
    if name == "JXL":
        pytest.importorskip("pillow_jxl")
    if mode == "I;16":
        image, mode = image.convert("L").convert("I"), "I;16"
    return encoded(image.convert(mode), name, **options)


JPEGS = ("jpeg", "jpeg-progressive", "jpeg-grey", "jpeg-inks", "jpeg-other-profile", "jpeg-broken-profile")
OTHERS = (
    "png",
    "png-alpha",
    "png-palette",
    "png-deep",
    "webp",
    "webp-lossless",
    "avif",
    "tiff",
    "tiff-deflate",
    "tiff-jpeg",
    "gif",
    "bmp",
    "ppm",
    "ico",
    "heif",
    "jxl",
)
DAMAGED = tuple(
    f"{kind}-cut" for kind in ("jpeg", "jpeg-progressive", "png", "webp", "avif", "tiff-deflate", "tiff-jpeg", "gif")
)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("kind", JPEGS + OTHERS + DAMAGED)
def test_nothing_of_an_image_stays(kind: str, plan: str) -> None:
    data, wish = source(kind), PLANS[plan]
    limits = Limits(lenient=kind == "jpeg-cut")
    with contextlib.ExitStack() as stack:
        files: dict[str, BinaryIO] = {}

        def create(name: str) -> BinaryIO:
            if name not in files:
                files[name] = stack.enter_context(tempfile.TemporaryFile())
            files[name].seek(0)
            files[name].truncate()
            return files[name]

        def make() -> None:
            with contextlib.suppress(SourceError):
                render(open_image(data, limits), wish, wish.names(), create)

        kept = growth(make, TIMES)
    assert kept < FLAT, f"{kept:.0f} bytes stay of each {kind} with the plan {plan}"


def test_headers_alone_leave_nothing_behind() -> None:
    """A walk over a folder sniffs far more files than it decodes."""
    sources = [source(kind) for kind in JPEGS + OTHERS[:12]]
    sources += [b"", b"\xff\xd8", bytes(range(256)) * 4, b"%PDF-1.4", io.BytesIO(sources[0]).read(200)]

    def look() -> None:
        for data in sources:
            with contextlib.suppress(SourceError):
                formats.sniff(data, b"a.jpg")
                open_image(data, Limits(max_pixels=1000))

    assert growth(look, TIMES) < FLAT
