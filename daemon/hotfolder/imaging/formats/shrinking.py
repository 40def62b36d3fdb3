"""Lossy pictures of libwebp (`webp/decode.h`) as planes, made smaller on the way: half the time of whole pictures.

The library is the one that Pillow stands on, whose binding knows nothing of either. Nothing is judged here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_ubyte, c_uint32, c_void_p
from functools import cache

from hotfolder.imaging.formats.values import Samples

VERSION = 0x0200
"""Of the structures below; the library refuses another first byte (`WEBP_DECODER_ABI_VERSION`)."""
YUV = 11
LOSSY = 1
OK, SUSPENDED = 0, 5
STEPS = 32
"""In so many parts it is decoded, so that it can be ended between them."""


class _Features(Structure):
    _fields_ = [
        *((name, c_int) for name in ("width", "height", "has_alpha", "has_animation", "format")),
        ("pad", c_uint32 * 5),
    ]


class _Planes(Structure):
    _fields_ = [
        *((name, POINTER(c_ubyte)) for name in "yuva"),
        *((f"{name}_stride", c_int) for name in "yuva"),
        *((f"{name}_size", c_size_t) for name in "yuva"),
    ]


class _Buffer(Structure):
    _fields_ = [
        *((name, c_int) for name in ("colorspace", "width", "height", "is_external_memory")),
        ("planes", _Planes),
        ("pad", c_uint32 * 4),
        ("private_memory", c_void_p),
    ]


class _Options(Structure):
    _fields_ = [
        *((name, c_int) for name in ("bypass_filtering", "no_fancy_upsampling")),
        *((name, c_int) for name in ("use_cropping", "crop_left", "crop_top", "crop_width", "crop_height")),
        *((name, c_int) for name in ("use_scaling", "scaled_width", "scaled_height")),
        *((name, c_int) for name in ("use_threads", "dithering_strength", "flip", "alpha_dithering_strength")),
        ("pad", c_uint32 * 5),
    ]


class _Config(Structure):
    _fields_ = [("input", _Features), ("output", _Buffer), ("options", _Options)]


@cache
def _library() -> ctypes.CDLL | None:
    """What Pillow's binding was linked with; None where that does not show it."""
    from PIL import _webp

    try:
        library = ctypes.CDLL(_webp.__file__)
        library.WebPIDecode.restype = c_void_p
        library.WebPIDecode.argtypes = (c_void_p, c_size_t, c_void_p)
        library.WebPIUpdate.argtypes = (c_void_p, c_char_p, c_size_t)
        library.WebPIDelete.argtypes = (c_void_p,)
        library.WebPGetFeaturesInternal.argtypes = (c_char_p, c_size_t, c_void_p, c_int)
        library.WebPInitDecoderConfigInternal.argtypes = (c_void_p, c_int)
    except (AttributeError, OSError):
        return None
    return library


def samples(data: bytes, size: tuple[int, int], scale: int, look: Callable[[], None]) -> Samples | None:
    """Those of a lossy, opaque picture that stands still, of this size, at 1/scale; None of others, and of what is
    damaged."""
    library = _library()
    config = _Config()
    if library is None or not library.WebPInitDecoderConfigInternal(byref(config), VERSION):
        return None
    found = config.input
    if library.WebPGetFeaturesInternal(data, len(data), byref(found), VERSION) != OK:
        return None
    if found.has_alpha or found.has_animation or found.format != LOSSY or (found.width, found.height) != size:
        return None
    wide, high = (-(-length // scale) for length in size)
    half = ((wide + 1) // 2, (high + 1) // 2)
    planes = (bytearray(wide * high), bytearray(half[0] * half[1]), bytearray(half[0] * half[1]))
    config.options.use_scaling, config.options.scaled_width, config.options.scaled_height = scale > 1, wide, high
    config.output.colorspace, config.output.is_external_memory = YUV, 1
    strides = (wide, half[0], half[0])
    for name, plane, stride in zip("yuv", planes, strides, strict=True):
        setattr(config.output.planes, name, (c_ubyte * len(plane)).from_buffer(plane))
        setattr(config.output.planes, f"{name}_stride", stride)
        setattr(config.output.planes, f"{name}_size", len(plane))
    return Samples(planes, (wide, high), strides, is_video=True) if _decoded(library, data, config, look) else None


def _decoded(library: ctypes.CDLL, data: bytes, config: _Config, look: Callable[[], None]) -> bool:
    decoder = library.WebPIDecode(None, 0, byref(config))
    if not decoder:
        return False
    try:
        step = max(1, -(-len(data) // STEPS))
        status = SUSPENDED
        for end in range(step, len(data) + step, step):
            look()
            status = library.WebPIUpdate(decoder, data, min(end, len(data)))
            if status != SUSPENDED:
                break
        return bool(status == OK)
    finally:
        library.WebPIDelete(decoder)
