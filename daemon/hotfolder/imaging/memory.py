"""How much memory a picture takes at its peak, told from its header: what a job reserves before it decodes.

The figures are bytes a pixel of the full size, measured by benchmarks/memory.py, which fails where a peak is above
them; tests/faults/test_memory.py does the same with a few kinds. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Collection

from hotfolder.imaging import formats, native
from hotfolder.imaging.decoding.decode import Opened
from hotfolder.imaging.formats import Format
from hotfolder.imaging.formats.values import UPRIGHT
from hotfolder.imaging.plan import DRAFT_SCALES, Plan
from hotfolder.presets import ANALYSIS, OPTIMIZED, OptimizeSpec

FIXED = 10_000_000
"""Bytes that any picture takes: tables of codecs, buffers of files, thumbnails."""
ANALYSIS_FIXED = 10_000_000
"""The analysis of any picture: some copies of at most 512×512 pixels in floating point."""
MARGIN = 1.08
"""What allocators lose between pictures."""
STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes of a pixel in Pillow, by mode; 4 in all others."""
DEEP = 64
"""Pictures in floating point, RAW and HDR, decoded by others than Pillow (OpenCV, LibRaw): some copies as floats."""
SIXTEEN_BITS = 18
"""Converting one channel of 16 or 32 bits to 8."""
RESIZING = 0.5
"""Of the bytes of the decoded picture, for the first step; colours weighed by alpha are a whole copy more."""
MADE, MADE_ALPHA = 7.5, 13.0
"""Bytes a pixel of a thumbnail: resampled, encoded; with alpha, also brought onto a background."""
GAIN_MAP = 16
"""A gain map in colour: its coefficients, and the decoded picture, which may be turned."""
PHOTO_PIXELS = 50_000_000
SEARCH_FIXED = 45_000_000
"""Scoring a picture in mode `auto`, of whatever size: at most 0.45 MP in floating point."""


def peak(opened: Opened, plan: Plan, wanted: Collection[str]) -> int:
    """Bytes beside the source's own: those of decoding, of the thumbnails or of the copy, whichever takes the most."""
    image = opened.image
    pixels = opened.width * opened.height
    scale = plan.scale(opened.size) if opened.kind.is_scaled else 1
    stored = STORED.get(image.mode, 4) * -(-pixels // (scale * scale))
    base = stored if image.mode in ("L", "RGB", "RGBA", "CMYK") else 4 * pixels
    copies = (base if base != stored else 0) + (base if opened.orientation != UPRIGHT else 0)
    if opened.pixels is not None:
        copies += DEEP * pixels
    elif image.mode.startswith("I") or image.mode == "F":
        copies += SIXTEEN_BITS * pixels
    held = stored + copies
    coefficients = _coefficients(opened, scale)
    decoding = held + opened.kind.memory.decoding * pixels + coefficients
    alpha = "A" in image.mode or "transparency" in image.info
    resizing = held + opened.kind.memory.kept * pixels + (base if alpha else 0)
    resizing += max(RESIZING * base, _thumbnails(opened, plan, wanted, scale, alpha=alpha))
    encoding = held + _encoding(opened, plan, wanted, alpha=alpha) * pixels
    fixed = FIXED + (ANALYSIS_FIXED if ANALYSIS in wanted else 0)
    if plan.optimize is not None and plan.optimize.mode == "auto" and OPTIMIZED in wanted:
        fixed += SEARCH_FIXED
    most = max(decoding, resizing, encoding)
    if _stays_planes(opened, plan, wanted):
        # Where it is damaged Pillow decodes it, to say what is wrong; then nothing is made of it.
        most = max(_planes(opened, scale, coefficients, encoded=encoding > held), stored + coefficients)
    return round(MARGIN * (most + _gain_map(opened, plan, wanted))) + fixed


def _gain_map(opened: Opened, plan: Plan, wanted: Collection[str]) -> int:
    """The gain map that is decoded for a thumbnail or the copy, and the file that it is decoded from."""
    carried = any(preset.hdr == "keep" and preset.name in wanted for preset in plan.presets)
    if plan.optimize is not None and OPTIMIZED in wanted:
        carried = carried or plan.optimize.metadata != "strip"
    found = opened.kind.gain_map(opened.data) if carried else None
    if found is None:
        return 0
    copies = 2 * len(found.data) if found.headroom else 0  # there it is as large as the source
    return GAIN_MAP * min(found.pixels, opened.width * opened.height) + copies  # with more pixels it is none


def photo_peak(plan: Plan, others: Collection[str] = ()) -> int:
    """Bytes that a photo of 50 MP takes at most, as cameras and phones write them, turned or not, or in one of the
    `others`: for whoever chooses a limit before all pictures have been seen."""
    each = []
    for kind in formats.known():
        if not kind.is_photo and kind.name not in others:
            continue
        held = 4.0 * 2 + (DEEP if kind.is_developed else 0)  # the picture, and a copy where it lies on its side
        decoding = held + (kind.memory.decoding or 2 * 3)
        encoding = held + (_goal(kind, plan.optimize).memory.encoding if plan.optimize is not None else 0.0)
        each.append(1 + max(decoding, encoding))  # and its bytes, at most one a pixel
    fixed = FIXED + ANALYSIS_FIXED + SEARCH_FIXED
    return round(MARGIN * max(each) * PHOTO_PIXELS) + fixed


def _thumbnails(opened: Opened, plan: Plan, wanted: Collection[str], scale: int, *, alpha: bool) -> float:
    """Planes drawn of the picture, decoded at 1/scale, and the largest thumbnail on its way to its file."""
    sides = [step.canvas for step in plan.steps(opened.size) if step.preset.name in wanted]
    largest = max((wide * high for wide, high in sides), default=0)
    made = (MADE_ALPHA if alpha else MADE) * largest
    if native.core is None:
        return made
    decoded = (-(-opened.width // scale), -(-opened.height // scale))
    less = plan.shrunk(opened.size, decoded)
    return made + 3 * decoded[0] * decoded[1] / (less * less)


def _planes(opened: Opened, scale: int, coefficients: int, *, encoded: bool) -> float:
    """A JPEG that stays planes in the core: one byte a sample; turning is a copy, and so is a copy without loss, as
    coefficients."""
    samples = _samples(opened) * opened.width * opened.height
    planes = samples / (scale * scale) * (1 + RESIZING + (opened.orientation != UPRIGHT))
    return planes + max(2 * samples if encoded else 0, coefficients)


def _stays_planes(opened: Opened, plan: Plan, wanted: Collection[str]) -> bool:
    """Whether the core decodes it, unless it is damaged, and no step needs all of it as an image."""
    if not native.serves(opened):
        return False
    spec = plan.optimize
    if spec is None or OPTIMIZED not in wanted:
        return True
    altered = spec.sharpen or spec.contrast or spec.auto_enhance
    return _goal(opened.kind, spec).in_planes and spec.mode == "lossy" and not altered


def _samples(opened: Opened) -> float:
    """Of a pixel of a JPEG: 3, or fewer where colour is halved. Damaged ones may say that they have none."""
    factors = [(layer[1], layer[2]) for layer in getattr(opened.image, "layer", ())]
    full = max((h for h, _ in factors), default=0) * max((v for _, v in factors), default=0)
    return sum(h * v for h, v in factors) / full if full else 3


def _coefficients(opened: Opened, scale: int) -> int:
    """A JPEG of several scans, progressive or with one for each component, is kept as coefficients: 2 bytes a sample of
    the full size, at whatever scale it is decoded (libjpeg.txt, "Buffered-image mode"). The core takes 2.16, but at
    1/8."""
    if not opened.kind.keeps_coefficients(opened.data):
        return 0
    each = 2.0 if native.core is None or scale == DRAFT_SCALES[0] else 2.16
    return round(each * _samples(opened) * opened.width * opened.height)


def _encoding(opened: Opened, plan: Plan, wanted: Collection[str], *, alpha: bool) -> float:
    """Bytes a pixel for the full-size copy; 0 where there is none."""
    if plan.optimize is None or OPTIMIZED not in wanted:
        return 0.0
    goal = _goal(opened.kind, plan.optimize)
    memory = goal.memory
    if plan.optimize.mode != "lossy" and memory.encoding_lossless is not None:
        return memory.encoding_lossless
    if opened.image.mode == "CMYK" and memory.encoding_inks is not None:
        return memory.encoding_inks
    if alpha and memory.encoding_alpha is not None:
        return memory.encoding_alpha
    converted = alpha if not goal.has_alpha else opened.image.mode in ("L", "CMYK") and not goal.loses_nothing
    return memory.encoding + (4.0 if converted else 0.0)


def _goal(kind: Format, spec: OptimizeSpec) -> Format:
    """The format of the copy."""
    return kind if spec.format == "keep" else formats.of(spec.format)
