"""Pixels measured: sharpness, exposure, contrast, colours, a perceptual hash and a placeholder.

Everything is taken from one small picture, at most 512 pixels long, so that the size of a source, its compression and
its fine noise count little and any source costs the same. docs/analysis.md lists units, ranges and papers.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hotfolder.imaging.plan import ANALYZED_SIDE, analyzed

DARKEST, BRIGHTEST = 2, 253
"""Brightness (of 255) up to which, and from which on, nothing can be told apart any more."""
LAPLACIAN_HALF = 30.0
"""The variance of the Laplacian at which `blur` is one half."""

FINE, COARSE = 0.8, 1.6
"""Radii of the two Gaussians (sigma, in pixels) between which the strength of edges is compared."""
BLOCK = 32
CALMEST = 10
"""Percentile of the blocks by which noise is judged: sky, shade, what is out of focus."""
CALM_BIAS = 1.1
"""The calmest tenth of many blocks of noise shows so much less of it than all of them together."""
FAINTEST = 0.1
"""Mean squared gradient (of 255 a pixel) under which a block shows no edge."""
SHARPEST = 90
"""Percentile of the blocks: a picture is as sharp as its sharpest parts, whatever lies out of focus."""

HASHED = 32
COLOURS = 5
COLOUR_STEPS = 5
"""Rounds in which the dominant colours find their places."""
TINY_SIDE = 128
PLACEHOLDER_SIDE = 48

Grey = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pixels:
    """What the pixels tell; see Record."""

    sharpness: float
    blur: float
    laplacian: float
    noise: float
    exposure: float
    clipped_low: float
    clipped_high: float
    contrast: float
    colourfulness: float
    colours: tuple[tuple[str, float], ...]


@functools.cache
def _cv() -> Any:
    """OpenCV, imported when first needed; it must not start threads beside our own."""
    import cv2

    cv2.setNumThreads(1)
    return cv2


def small(base: Image.Image) -> Image.Image:
    """The picture that is measured: averaged by a whole number first, then brought to its size; never enlarged."""
    size = analyzed(base.size)
    factor = max(base.size) // ANALYZED_SIDE
    picture = base.reduce(factor) if factor > 1 else base
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


def tiny(picture: Image.Image) -> Image.Image:
    """Averaged further, to some TINY_SIDE pixels: enough for colours, hash and placeholder. Of such a one: itself."""
    factor = max(picture.size) // TINY_SIDE
    return picture.reduce(factor) if factor > 1 else picture


def measure(picture: Image.Image, few: Image.Image | None = None) -> Pixels:
    """Measure a small RGB picture; `few` is what `tiny` makes of it, where that is known."""
    cv2 = _cv()
    grey = np.asarray(picture.convert("L"))
    colours = np.asarray(few or tiny(picture))
    mean, deviation = (float(value[0][0]) for value in cv2.meanStdDev(grey))
    histogram = cv2.calcHist([grey], [0], None, [256], [0, 256]) / grey.size
    precise = grey.astype(np.float32)
    calm = _calmed(precise, FINE)
    laplacian = _laplacian(calm)
    return Pixels(
        sharpness=round(_sharpness(calm, _calmed(precise, COARSE)), 4),
        blur=round(LAPLACIAN_HALF / (LAPLACIAN_HALF + laplacian), 4),
        laplacian=round(laplacian, 2),
        noise=round(_noise(precise), 2),
        exposure=round(mean / 255, 4),
        clipped_low=round(float(histogram[: DARKEST + 1].sum()), 4),
        clipped_high=round(float(histogram[BRIGHTEST:].sum()), 4),
        contrast=round(deviation / 255, 4),
        colourfulness=round(_colourfulness(colours), 2),
        colours=_dominant(colours),
    )


def sharp(grey: Grey) -> float:
    """Sharpness, 0–1, of a picture's brightness (0–255)."""
    return _sharpness(_calmed(grey, FINE), _calmed(grey, COARSE))


def _calmed(grey: Grey, radius: float) -> Grey:
    return cast("Grey", _cv().GaussianBlur(grey, (0, 0), radius))


def _sharpness(calm: Grey, calmer: Grey) -> float:
    """Sharpness of what two Gaussians have left.

    At an edge blurred by σ the gradient behind a Gaussian of radius s falls with √(σ² + s²); comparing two such
    gradients shows σ whatever the contrast of the edge (Zhuo & Sim, Defocus map estimation from a single image,
    Pattern Recognition 44(9), 2011). Here the energies of the gradients are compared in blocks, each less that of the
    calmest blocks, which is noise; the value is that of the sharpest tenth of the blocks that show an edge at all.
    """
    fine, coarse = _edges(calm), _edges(calmer)
    calmest = fine <= np.percentile(fine, CALMEST)
    fine_noise, coarse_noise = float(fine[calmest].mean()) * CALM_BIAS, float(coarse[calmest].mean()) * CALM_BIAS
    telling = coarse - coarse_noise > max(fine_noise / 2, coarse_noise) + FAINTEST
    if not telling.any():
        return 0.0
    ratio = (fine[telling] - fine_noise) / (coarse[telling] - coarse_noise)
    values = np.clip((ratio - 1) / ((COARSE / FINE) ** 2 - 1), 0, 1)
    return float(np.percentile(values, SHARPEST))


def _laplacian(calm: Grey) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000), behind
    a small Gaussian: the steps between whole numbers of brightness would hide a strong blur."""
    cv2 = _cv()
    found = cv2.Laplacian(calm, cv2.CV_32F)
    return float(cv2.meanStdDev(found)[1][0][0]) ** 2


def _of_blocks(values: Grey) -> Grey:
    """The means of blocks of some BLOCK by BLOCK pixels, all of one size; what is over at the edges is left out."""
    high, wide = values.shape
    down, across = max(1, high // BLOCK), max(1, wide // BLOCK)
    values = values[: high // down * down, : wide // across * across]  # parts of pixels would take five times as long
    return cast("Grey", _cv().resize(values, (across, down), interpolation=_cv().INTER_AREA))


def _edges(calm: Grey) -> Grey:
    """The mean squared gradient of each block."""
    cv2 = _cv()
    across = cv2.Scharr(calm, cv2.CV_32F, 1, 0, scale=1 / 32)
    down = cv2.Scharr(calm, cv2.CV_32F, 0, 1, scale=1 / 32)
    across *= across  # in place: memory that is new has to be cleared first
    down *= down
    across += down
    return _of_blocks(across)


def _noise(grey: Grey) -> float:
    """The deviation of the noise, of 255 (Immerkær, Fast noise variance estimation, CVIU 64(2), 1996), in the calmest
    blocks, so that detail does not count."""
    cv2 = _cv()
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    found = cv2.filter2D(grey, cv2.CV_32F, mask)
    np.abs(found, out=found)
    calm = np.percentile(_of_blocks(found), CALMEST)
    return float(calm) * float(np.sqrt(np.pi / 2)) / 6


def _colourfulness(colours: NDArray[np.uint8]) -> float:
    """Hasler & Süsstrunk, Measuring colourfulness in natural images (2003): 0 grey, about 100 extremely colourful."""
    cv2 = _cv()
    red, green, blue = (channel.astype(np.float32) for channel in cv2.split(colours))
    one, other = red - green, (red + green) / 2 - blue
    spread = float(np.hypot(one.std(), other.std()))
    return spread + 0.3 * float(np.hypot(one.mean(), other.mean()))


def _dominant(colours: NDArray[np.uint8]) -> tuple[tuple[str, float], ...]:
    """The colours that stand for most of the picture, each with its share, the largest first.

    k-means over a histogram of 8×8×8 cells, begun with the fullest cell and then always the one that is missed most.
    """
    cells = (colours >> 5).reshape(-1, 3) @ np.array([64, 8, 1])
    counts = np.bincount(cells, minlength=512)
    known = counts > 0
    sums = [np.bincount(cells, colours[:, :, channel].ravel(), 512) for channel in range(3)]
    counts = counts[known]
    means = np.stack(sums, -1)[known] / counts[:, None]
    centres = means[[int(counts.argmax())]]
    while len(centres) < min(COLOURS, len(means)):
        centres = np.vstack([centres, means[int((counts * _nearest(means, centres)[1]).argmax())]])
    for _ in range(COLOUR_STEPS):
        chosen = _nearest(means, centres)[0]
        weights = np.bincount(chosen, counts, len(centres))
        moved = np.stack([np.bincount(chosen, counts * means[:, c], len(centres)) for c in range(3)], -1)
        centres = np.where(weights[:, None] > 0, moved / np.maximum(weights, 1)[:, None], centres)
    found = sorted(zip(weights / counts.sum(), np.rint(centres).astype(int).tolist(), strict=True), reverse=True)
    return tuple(("#{:02x}{:02x}{:02x}".format(*centre), round(float(share), 3)) for share, centre in found if share)


def _nearest(points: NDArray[np.float64], centres: NDArray[np.float64]) -> tuple[Any, Any]:
    """For each point the number of its nearest centre, and the squared distance to it."""
    distances = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(-1)
    return distances.argmin(1), distances.min(1)


def phash(picture: Image.Image) -> str:
    """64 bits as 16 hex digits: the signs, about their median, of the lowest 8×8 frequencies of a 32×32 cosine
    transform of the brightness (pHash: Zauner, Implementation and benchmarking of perceptual image hash functions,
    2010)."""
    cv2 = _cv()
    grey = np.asarray(tiny(picture).convert("L"), np.float32)
    low = cv2.dct(cv2.resize(grey, (HASHED, HASHED), interpolation=cv2.INTER_AREA))[:8, :8].ravel()
    bits = np.greater(low, np.median(low[1:]))
    return bytes(np.packbits(bits)).hex()


def placeholder(picture: Image.Image) -> str:
    """A ThumbHash (Wallace, 2023) in base64: some 25 bytes from which a page draws a blurred picture at once."""
    shown = tiny(picture).convert("RGBA")
    shown.thumbnail((PLACEHOLDER_SIDE, PLACEHOLDER_SIDE), Image.Resampling.BOX)
    return base64.b64encode(_thumbhash(np.asarray(shown, np.float64) / 255)).decode()


def _thumbhash(pixels: NDArray[np.float64]) -> bytes:
    """The package thumbhash returns the same bytes after 16 ms of CPU; this takes 0.6."""
    high, wide = int(pixels.shape[0]), int(pixels.shape[1])
    alpha = pixels[:, :, 3]
    shown = float(alpha.sum())
    average = (pixels[:, :, :3] * alpha[:, :, None]).sum((0, 1)) / (shown or 1.0)
    see_through = shown < high * wide
    red, green, blue = np.moveaxis(average * (1 - alpha[:, :, None]) + pixels[:, :, :3] * alpha[:, :, None], 2, 0)
    most = 5 if see_through else 7
    across = max(1, _round(most * wide / max(wide, high)))
    down = max(1, _round(most * high / max(wide, high)))
    light, light_waves, light_scale = _waves((red + green + blue) / 3, max(3, across), max(3, down))
    warm, warm_waves, warm_scale = _waves((red + green) / 2 - blue, 3, 3)
    rose, rose_waves, rose_scale = _waves(red - green, 3, 3)
    head = (
        _round(63 * light)
        | _round(31.5 + 31.5 * warm) << 6
        | _round(31.5 + 31.5 * rose) << 12
        | _round(31 * light_scale) << 18
        | see_through << 23
    )
    shape = (down if wide > high else across) | _round(63 * warm_scale) << 3 | _round(63 * rose_scale) << 9
    shape |= (wide > high) << 15
    start = head.to_bytes(3, "little") + shape.to_bytes(2, "little")
    waves = [*light_waves, *warm_waves, *rose_waves]
    if see_through:
        clear, clear_waves, clear_scale = _waves(alpha, 5, 5)
        start += bytes([_round(15 * clear) | _round(15 * clear_scale) << 4])
        waves += clear_waves
    digits = [_round(15 * wave) for wave in waves] + [0] * (len(waves) % 2)
    return start + bytes(one | two << 4 for one, two in zip(digits[::2], digits[1::2], strict=True))


def _waves(channel: NDArray[np.float64], across: int, down: int) -> tuple[float, list[float], float]:
    """The mean of a channel, its lowest frequencies brought to 0–1, and the scale that brings them back."""
    high, wide = channel.shape
    rows = np.cos(np.pi / high * np.outer(np.arange(down), np.arange(high) + 0.5))
    columns = np.cos(np.pi / wide * np.outer(np.arange(across), np.arange(wide) + 0.5))
    found = rows @ channel @ columns.T / (wide * high)
    kept = [
        float(found[y, x]) for y in range(down) for x in range(across) if (x or y) and x * down < across * (down - y)
    ]
    scale = max((abs(value) for value in kept), default=0.0)
    return float(found[0, 0]), [0.5 + 0.5 / scale * value if scale else 0.0 for value in kept], scale


def _round(number: float) -> int:
    return int(number + 0.5)
