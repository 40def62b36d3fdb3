"""How much of a picture an encoder has spoilt: SSIMULACRA2, made quick enough to be asked while encoding.

The measure, its weights and its constants are those of SSIMULACRA2 2.1 (Jon Sneyers, Cloudinary, 2023): a structural
similarity and two differences of edges, over six scales and three channels of the XYB colour space, brought to one
number (100: the same; 90: no difference seen side by side; 70: high quality). Most of its 108 weights are next to
nothing, among them those of both colour channels at full size: what they stand for is not computed. The fit against
a reference implementation is in docs/optimization.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]

SMALLEST = 8
"""Pixels of the shorter side below which a scale shows nothing."""
_SCALES = 5
_GROUPS = 8
_C2 = 0.0009
_RADIUS = 5
_KERNEL = (2 * _RADIUS + 1, 2 * _RADIUS + 1)
_ABSORBANCE = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.5518098665095535),
)
_BIAS = 0.0037930732552754493
_SCALING, _POWER = 0.9562382616834844, 0.6276336467831387
_CURVE = (2.326765642916932, -0.020884521182843837, 6.248496625763138e-05)

X, Y, B = range(3)
SSIM, RINGING, BLUR = range(3)
"""Maps: structural similarity, edges where there were none, edges that are gone."""
_WEIGHTS: tuple[tuple[int, int, int, int, float], ...] = (
    # scale (in rising order), channel, map, norm, weight: all of at least 0.2
    (0, Y, SSIM, 4, 7.466890328078848),
    (0, Y, BLUR, 4, 17.445833984131262),
    (1, X, SSIM, 4, 1.1041726426657346),
    (1, Y, SSIM, 4, 6.683678146179332),
    (1, Y, BLUR, 4, 1.027889937768264),
    (2, X, SSIM, 4, 1.8422455520539298),
    (2, X, RINGING, 4, 11.441172603757666),
    (2, Y, SSIM, 1, 225.20515300849274),
    (2, Y, SSIM, 4, 19.213238186143016),
    (3, X, SSIM, 4, 1.8787594979546387),
    (3, X, RINGING, 4, 10.94906990605142),
    (3, Y, SSIM, 1, 176.39317598450694),
    (3, Y, SSIM, 4, 24.43300999870476),
    (3, Y, RINGING, 4, 0.28520802612117757),
    (3, B, SSIM, 4, 8.826982764996862),
    (3, B, RINGING, 4, 23.19243343998926),
    (4, X, RINGING, 1, 0.9677937080626833),
    (4, X, RINGING, 4, 0.9981766977854967),
    (4, Y, SSIM, 4, 34.77906344483772),
    (4, Y, RINGING, 4, 44.835625328877896),
    (4, B, SSIM, 1, 95.1080498811086),
    (4, B, RINGING, 1, 0.9863978034400682),
    (4, B, BLUR, 1, 0.9834382792465353),
    (4, B, RINGING, 4, 171.2667255897307),
    (4, B, BLUR, 4, 0.9807858872435379),
)


@cache
def _cv() -> Any:
    """OpenCV, imported when first needed; it must not start threads beside our own."""
    import cv2

    cv2.setNumThreads(1)
    return cv2


@dataclass(frozen=True, slots=True)
class _Known:
    """A channel of the original at one scale."""

    plane: Plane
    mean: Plane
    square: Plane
    edges: Plane


@dataclass(frozen=True, slots=True)
class Score:
    """`value`: 100 for the same pixels, below 0 for ruins; `error`: its standard error where parts were measured."""

    value: float
    error: float


class Reference:
    """An original, against which encoded versions of it are scored; what depends on it alone is computed once."""

    def __init__(self, pixels: Pixels) -> None:
        """`pixels` are sRGB, of shape (parts, height, width, 3): one picture, or parts, measured each by itself."""
        self._known: list[dict[int, _Known]] = []
        for scale, planes in enumerate(_scales(pixels)):
            needed = {channel for at, channel, *_ in _WEIGHTS if at == scale}
            self._known.append({channel: _know(planes[channel]) for channel in needed})

    def score(self, pixels: Pixels) -> Score:
        """SSIMULACRA2 of an encoded version of the same shape."""
        found = []
        for scale, planes in enumerate(_scales(pixels)):
            maps = {channel: _maps(known, planes[channel]) for channel, known in self._known[scale].items()}
            found += [_power(maps[channel][kind], norm) for at, channel, kind, norm, _ in _WEIGHTS if at == scale]
        powers = np.stack(found)
        parts = powers.shape[1]
        whole = _combined(powers.mean(axis=1))
        if parts < 2 * _GROUPS:
            return Score(whole, 0.0)
        # The jackknife (Tukey, 1958): how much the score moves when each group in turn is left out.
        group = np.arange(parts) % _GROUPS
        without = np.array([_combined(powers[:, group != left].mean(axis=1)) for left in range(_GROUPS)])
        return Score(whole, float(np.sqrt((_GROUPS - 1) * without.var())))


def _power(values: Plane, norm: int) -> NDArray[np.float64]:
    """The mean of each part, of the fourth powers where the norm asks for that."""
    if norm == 4:
        values = values * values
        values = values * values
    return cast("NDArray[np.float64]", values.mean(axis=(1, 2), dtype=np.float64))


def _combined(powers: NDArray[np.float64]) -> float:
    total = sum(
        weight * (power if norm == 1 else power**0.25)
        for power, (*_, norm, weight) in zip(powers.tolist(), _WEIGHTS, strict=False)
    )
    total *= _SCALING
    total = sum(factor * total**exponent for exponent, factor in enumerate(_CURVE, 1))
    return 100.0 - 10.0 * total**_POWER if total > 0 else 100.0


def _scales(pixels: Pixels) -> Iterator[dict[int, Plane]]:
    """The channels that are needed of each scale; each scale is half of the one before, averaged in linear light."""
    cv2 = _cv()
    parts, high, wide, _ = pixels.shape
    linear = cv2.LUT(pixels.reshape(parts * high, wide, 3), _linear())
    for scale in range(_SCALES):
        if parts == 1 and min(high, wide) < SMALLEST:
            return
        planes = _xyb(linear, colours=scale > 0)
        yield {channel: plane.reshape(parts, high, wide) for channel, plane in planes.items()}
        high, wide = (high + 1) // 2, (wide + 1) // 2
        linear = cv2.resize(linear, (wide, parts * high), interpolation=cv2.INTER_AREA)


@cache
def _linear() -> Plane:
    """Light by sRGB value (IEC 61966-2-1)."""
    values = np.arange(256) / 255.0
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _xyb(linear: Plane, *, colours: bool) -> dict[int, Plane]:
    cv2 = _cv()
    matrix = np.array(_ABSORBANCE if colours else _ABSORBANCE[:2])
    absorbed = cv2.transform(linear, np.hstack([matrix, np.full((len(matrix), 1), _BIAS)]))
    roots = cv2.split(cv2.pow(absorbed, 1 / 3))
    zero = float(np.cbrt(_BIAS))
    y = cv2.addWeighted(roots[0], 0.5, roots[1], 0.5, -zero)
    planes = {Y: y + np.float32(0.01)}
    if colours:
        planes[X] = cv2.addWeighted(roots[0], 7.0, roots[1], -7.0, 0.42)
        planes[B] = cv2.addWeighted(roots[2], 1.0, y, -1.0, 0.55 - zero)
    return planes


def _blurred(plane: Plane) -> Plane:
    """By a Gaussian of 1.5 pixels, each part by itself: mirrored at its borders, so that no neighbour shines in."""
    cv2 = _cv()
    if len(plane) == 1:
        return cast("Plane", cv2.GaussianBlur(plane[0], _KERNEL, 1.5)[np.newaxis])
    padded = np.pad(plane, ((0, 0), (_RADIUS, _RADIUS), (_RADIUS, _RADIUS)), "reflect")
    tall = cv2.GaussianBlur(padded.reshape(-1, padded.shape[2]), _KERNEL, 1.5).reshape(padded.shape)
    return cast("Plane", np.ascontiguousarray(tall[:, _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]))


def _know(plane: Plane) -> _Known:
    mean = _blurred(plane)
    return _Known(plane, mean, _blurred(plane * plane), 1 + np.abs(plane - mean))


def _maps(known: _Known, plane: Plane) -> tuple[Plane, Plane, Plane]:
    mean, square, product = _blurred(plane), _blurred(plane * plane), _blurred(known.plane * plane)
    apart = known.mean - mean
    alike = 2 * (product - known.mean * mean) + np.float32(_C2)
    spread = known.square - known.mean * known.mean + square - mean * mean + np.float32(_C2)
    ssim = np.maximum(1 - (1 - apart * apart) * alike / spread, 0)
    edges = (1 + np.abs(plane - mean)) / known.edges - 1
    return ssim, np.maximum(edges, 0), np.maximum(-edges, 0)
