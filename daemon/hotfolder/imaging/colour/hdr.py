"""HDR to SDR: pictures in PQ or HLG, and linear light beyond white, become sRGB by a tone curve, not by clipping.

The curve is the EETF of Report ITU-R BT.2390-11, section 5.4.1 (a knee in PQ, then a Hermite spline that ends at the
target's peak), applied to the largest of the three components so that hues stay. White of the target is 203 cd/m², the
HDR reference white of BT.2408: what the picture shows up to about half of it stays as it is. The source's peak is what
the file states (MaxCLL), otherwise the brightest component of the picture itself: nothing is cut off. Transfer
functions are those of BT.2100-2; HLG is shown as on its nominal display of 1,000 cd/m².
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hotfolder.imaging.colour import profiles
from hotfolder.imaging.colour.signals import Cicp

Floats = NDArray[Any]
"""Light or codes in floating point, of any width."""
Bytes = NDArray[np.uint8]
REFERENCE_WHITE = 203.0
HLG_PEAK = 1000.0
HLG_GAMMA = 1.2
PQ_PEAK = 10_000.0
ROWS = 64
"""Rows worked on at a time, so that a large picture takes no second one in floating point."""
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_HLG_A = 0.17883277
_HLG_B = 1 - 4 * _HLG_A
_HLG_C = 0.5 - _HLG_A * float(np.log(4 * _HLG_A))


def pq_to_nits(code: Floats) -> Floats:
    """The EOTF of PQ (SMPTE ST 2084): 0–1 to cd/m²."""
    power = np.power(np.clip(code, 0, 1), 1 / _M2)
    light: Floats = PQ_PEAK * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)
    return light


def nits_to_pq(nits: Floats) -> Floats:
    power = np.power(np.clip(nits, 0, PQ_PEAK) / PQ_PEAK, _M1)
    code: Floats = np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)
    return code


def hlg_to_scene(code: Floats) -> Floats:
    """The inverse OETF of HLG: 0–1 to scene light 0–1."""
    low = code * code / 3
    return np.where(code <= 0.5, low, (np.exp((np.maximum(code, 0.5) - _HLG_C) / _HLG_A) + _HLG_B) / 12)


def eetf(nits: Floats, peak: float, target: float = REFERENCE_WHITE) -> Floats:
    """BT.2390's curve from a display of `peak` cd/m² to one of `target`; black stays black."""
    if peak <= target:
        below: Floats = np.minimum(nits, target)
        return below
    top = float(nits_to_pq(np.array(peak)))
    goal = float(nits_to_pq(np.array(target))) / top
    knee = 1.5 * goal - 0.5
    e1 = np.clip(nits_to_pq(nits) / top, 0, 1)
    t = np.clip((e1 - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * goal
    return pq_to_nits(np.where(e1 < knee, e1, spline) * top)


def to_srgb(codes: NDArray[np.uint16], cicp: Cicp) -> Bytes:
    """RGB in 16 bits (full scale 65,535) of the declared space as sRGB in 8."""
    light = _pq_table() if cicp.transfer == profiles.PQ else _hlg_table()
    hlg = cicp.transfer == profiles.HLG
    luma = np.array(profiles.columns(*profiles.PRIMARIES.get(cicp.primaries, profiles.PRIMARIES[9]))[1], np.float32)

    def nits(rows: NDArray[np.uint16]) -> Floats:
        linear = light[rows]
        if hlg:  # the OOTF: scene light to that of the display
            linear = linear * HLG_PEAK * np.power(np.maximum(linear @ luma, 1e-9), HLG_GAMMA - 1)[..., None]
        return linear

    brightest = max(float(nits(codes[at : at + ROWS]).max()) for at in range(0, len(codes), ROWS))
    peak = min(cicp.peak or PQ_PEAK, brightest)
    matrix = np.array(profiles.between(cicp.primaries), np.float32)
    result = np.empty(codes.shape, np.uint8)
    for at in range(0, len(codes), ROWS):
        result[at : at + ROWS] = _shown(nits(codes[at : at + ROWS]), peak, matrix)
    return result


def light_to_srgb(light: Floats) -> Bytes:
    """Linear light of any RGB primaries, 1.0 its white, in the same primaries by sRGB's curve; brighter is bent in."""
    peak = max(1.0, float(light.max())) * REFERENCE_WHITE
    result = np.empty(light.shape, np.uint8)
    for at in range(0, len(light), ROWS):
        rows = np.maximum(light[at : at + ROWS], 0) * REFERENCE_WHITE
        result[at : at + ROWS] = _shown(rows, min(peak, PQ_PEAK), None)
    return result


def _shown(nits: Floats, peak: float, matrix: Floats | None) -> Bytes:
    largest = nits.max(axis=-1, keepdims=True)
    light = nits * (_bent(largest, peak) / np.maximum(largest, 1e-6)) / REFERENCE_WHITE
    if matrix is not None:
        light = light @ matrix.T
    return encoded(light)


def encoded(light: Floats) -> Bytes:
    """Linear light by the curve of sRGB; what lies beyond 0–1 is cut."""
    index = (np.sqrt(np.clip(light, 0, 1)) * (len(_curve()) - 1) + 0.5).astype(np.int32)
    shown: Bytes = _curve()[index]
    return shown


def _bent(nits: Floats, peak: float) -> Floats:
    """`eetf` by a table: a picture has more pixels than the curve has bends."""
    if peak <= REFERENCE_WHITE:
        below: Floats = np.minimum(nits, REFERENCE_WHITE)
        return below
    grid = np.linspace(0, 1, 4096) ** 3 * peak
    bent: Floats = np.interp(nits, grid, eetf(grid, peak)).astype(np.float32)
    return bent


@cache
def _pq_table() -> Floats:
    return pq_to_nits(np.arange(65536) / 65535).astype(np.float32)


@cache
def _hlg_table() -> Floats:
    return hlg_to_scene(np.arange(65536) / 65535).astype(np.float32)


@cache
def _curve() -> Bytes:
    """sRGB's curve in 8 bits over the square root of light, which spends its steps where the eye does."""
    light = (np.arange(16384) / 16383) ** 2
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    steps: Bytes = np.rint(encoded * 255).astype(np.uint8)
    return steps
