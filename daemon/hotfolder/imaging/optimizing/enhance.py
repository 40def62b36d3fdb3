"""Automatic improvement of an optimized copy: mild exposure, contrast and sharpening, chosen from the analysis.

Only where the measures say that something is wrong, only as far as they say that it helped, and never on a picture that
is fine: that one is given back as it came. Night, fog and blur beyond mending are left alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops, ImageFilter

from hotfolder.imaging.record import BLANK_BELOW, BLURRED_BELOW
from hotfolder.imaging.rendering.encode import flattened

if TYPE_CHECKING:
    from hotfolder.imaging.analysis.measure import Pixels

ENDS = (0.005, 0.995)
"""Shares of the pixels between which the tones of a picture are said to lie."""
FLAT_BELOW = 0.62
"""Tones that span less of the whole range than this look flat."""
STRETCH_MOST = 1.35
NOT_BLACK = 6
"""Tones that the darkest parts keep above black."""
DARK_BELOW = 0.22
LIT_FROM = 230
"""A dark picture with a colour as bright as this in it is dark by intent: night, a lit thing before shade."""
BRIGHT_ABOVE = 0.68
"""Snow and paper are meant to be white; what is overexposed cannot be brought back."""
BLACK_BELOW = 0.05
"""Mean brightness of what is meant to be black, a firework or a night sky, or is lost anyway."""
MIDDLE = 0.42
GAMMA_LEAST = 0.72
SOFT_BELOW = 0.22
"""Sharpness under which a picture is sharpened; likely blurred ones are not: their noise would be."""
NOISY_ABOVE = 2.0
SHARPEN_PERCENT = 70
SHARPEN_RADIUS = 0.7
"""Pixels of the measured picture."""
CLIPPED_MOST = 0.005
"""Share of pixels that may become black or white by it."""


@dataclass(frozen=True, slots=True)
class Change:
    """Tones from `low` to `high` (of 255) are spread over the whole range, then raised by `gamma`; then sharpened."""

    low: float = 0.0
    high: float = 255.0
    gamma: float = 1.0
    sharpen: bool = False

    def __bool__(self) -> bool:
        return self != Change()


def improved(image: Image.Image) -> Image.Image:
    """The picture with what helps it; the very same object where nothing does. Inks (CMYK) are left alone."""
    if image.mode not in ("L", "RGB", "RGBA"):
        return image
    from hotfolder.imaging.analysis import measure

    small = flattened(measure.small(image), "#ffffff").convert("RGB")
    before = measure.measure(small)
    change = chosen(before, *_tones(small))
    if not change or not _helps(change, before, small, measure):
        return image
    return apply(image, change)


def chosen(pixels: Pixels, low: float, high: float) -> Change:
    """What the measures, and the tones between which the picture lies, ask for; nothing where it is fine."""
    if pixels.contrast < BLANK_BELOW or not BLACK_BELOW <= pixels.exposure <= BRIGHT_ABOVE:
        return Change()
    span, gamma = (high - low) / 255, 1.0
    new_low, new_high = 0.0, 255.0
    if span < FLAT_BELOW:
        wanted = min(STRETCH_MOST, 0.96 / max(span, 0.01))
        room = 255 - 255 / wanted  # what may go at both ends together
        new_low = max(0.0, min(low - NOT_BLACK, room * low / max(1.0, low + 255 - high)))
        new_high = 255 - min(255 - high, room - new_low)
    mean = (255 * pixels.exposure - new_low) / (new_high - new_low)
    if mean < DARK_BELOW and high < LIT_FROM:
        gamma = max(GAMMA_LEAST, math.log(MIDDLE) / math.log(max(0.01, mean)))
    soft = BLURRED_BELOW <= pixels.sharpness < SOFT_BELOW and pixels.noise < NOISY_ABOVE
    return Change(round(new_low, 1), round(new_high, 1), round(gamma, 3), soft)


def apply(image: Image.Image, change: Change) -> Image.Image:
    """Alpha stays as it is."""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    picture = image.convert("RGB") if alpha is not None else image
    span = max(1.0, change.high - change.low)
    shares = (min(1.0, max(0.0, (value - change.low) / span)) for value in range(256))
    tones = [round(255 * share**change.gamma) for share in shares]
    picture = picture.point(tones * len(picture.getbands()))
    if change.sharpen:
        radius = SHARPEN_RADIUS * max(1.0, max(image.size) / 512)
        picture = picture.filter(ImageFilter.UnsharpMask(radius=radius, percent=SHARPEN_PERCENT, threshold=2))
    if alpha is not None:
        picture.putalpha(alpha)
    return picture


def _helps(change: Change, before: Pixels, small: Image.Image, measure: Any) -> bool:
    """Try it on the small picture: more contrast or a better exposure or sharper, and nothing lost for it."""
    after = measure.measure(apply(small, change))
    clipped = max(after.clipped_low - before.clipped_low, after.clipped_high - before.clipped_high)
    better = (
        after.contrast > 1.05 * before.contrast,
        abs(after.exposure - MIDDLE) < abs(before.exposure - MIDDLE) - 0.02,
        change.sharpen and after.sharpness > 1.1 * before.sharpness,
    )
    return any(better) and clipped <= CLIPPED_MOST and after.contrast >= 0.95 * before.contrast


def _tones(small: Image.Image) -> tuple[float, float]:
    """The brightness of the darkest, and the strongest channel of the brightest parts of a small picture."""
    red, green, blue = small.split()
    brightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return _tone(small.convert("L").histogram(), ENDS[0]), _tone(brightest.histogram(), ENDS[1])


def _tone(histogram: list[int], share: float) -> float:
    """The brightness under which this share of the pixels lies."""
    left = share * sum(histogram)
    for tone, count in enumerate(histogram):
        left -= count
        if left <= 0:
            return float(tone)
    return 255.0
