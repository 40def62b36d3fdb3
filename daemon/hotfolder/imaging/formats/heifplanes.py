"""Pictures of libheif (`libheif/heif.h`) as the planes that HEVC holds, without the way over RGB and a copy of that.

The library is the one that pillow-heif stands on, whose binding hands out pixels alone. Nothing is judged here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_ubyte, c_uint8, c_void_p
from functools import cache
from typing import Any

from hotfolder.imaging.formats.values import Samples

OK = 0
YCBCR, HALVED = 0, 1
"""`heif_colorspace_YCbCr`, `heif_chroma_420`."""
CHANNELS = (0, 1, 2)
BITS = 8
UNSPECIFIED, BT601 = 2, (5, 6)
"""Matrix coefficients of H.273; what says nothing libheif takes for the latter."""


class _Error(Structure):
    _fields_ = [("code", c_int), ("subcode", c_int), ("message", c_char_p)]


class _Nclx(Structure):
    """The first fields of `heif_color_profile_nclx`."""

    _fields_ = [
        ("version", c_uint8),
        *((name, c_int) for name in ("primaries", "transfer", "matrix")),
        ("full_range", c_uint8),
    ]


class _Held:
    """What the library has to be given back, newest first, when nobody holds this any more."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._pointers: list[tuple[str, c_void_p]] = []

    def hold(self, pointer: c_void_p, release: str) -> c_void_p:
        self._pointers.append((release, pointer))
        return pointer

    def __del__(self) -> None:
        for release, pointer in reversed(self._pointers):
            getattr(self._library, release)(pointer)


@cache
def _library() -> Any:
    """What pillow-heif's binding was linked with; None where that does not show it."""
    import _pillow_heif

    handle, out = c_void_p, POINTER(c_void_p)
    asked = {
        "heif_context_alloc": (handle,),
        "heif_context_free": (None, handle),
        "heif_context_read_from_memory_without_copy": (_Error, handle, c_char_p, c_size_t, handle),
        "heif_context_get_primary_image_handle": (_Error, handle, out),
        "heif_image_handle_release": (None, handle),
        "heif_image_handle_has_alpha_channel": (c_int, handle),
        "heif_image_handle_get_luma_bits_per_pixel": (c_int, handle),
        "heif_image_handle_get_chroma_bits_per_pixel": (c_int, handle),
        "heif_image_handle_get_preferred_decoding_colorspace": (_Error, handle, POINTER(c_int), POINTER(c_int)),
        "heif_decode_image": (_Error, handle, out, c_int, c_int, handle),
        "heif_image_release": (None, handle),
        "heif_image_get_width": (c_int, handle, c_int),
        "heif_image_get_height": (c_int, handle, c_int),
        "heif_image_get_plane_readonly": (handle, handle, c_int, POINTER(c_int)),
        "heif_image_get_nclx_color_profile": (_Error, handle, POINTER(POINTER(_Nclx))),
        "heif_nclx_color_profile_free": (None, POINTER(_Nclx)),
    }
    try:
        library = ctypes.CDLL(_pillow_heif.__file__)
        for name, (result, *arguments) in asked.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (AttributeError, OSError):
        return None
    return library


def samples(data: bytes, size: tuple[int, int], scale: int, look: Callable[[], None]) -> Samples | None:
    """Those of an opaque picture of 8 bits that has this size, and colour of half of it; None of others, and of what
    cannot be read. `data` must stay as long as the result."""
    library = _library()
    if library is None:
        return None
    held = _Held(library)
    context = held.hold(c_void_p(library.heif_context_alloc()), "heif_context_free")
    if not context or library.heif_context_read_from_memory_without_copy(context, data, len(data), None).code != OK:
        return None
    handle = c_void_p()
    if library.heif_context_get_primary_image_handle(context, byref(handle)).code != OK:
        return None
    held.hold(handle, "heif_image_handle_release")
    if not _is_simple(library, handle):
        return None
    image = c_void_p()
    if library.heif_decode_image(handle, byref(image), YCBCR, HALVED, None).code != OK:
        return None
    held.hold(image, "heif_image_release")
    look()
    return _planes(library, image, size, scale, held)


def _is_simple(library: Any, handle: c_void_p) -> bool:
    space, chroma = c_int(), c_int()
    asked = library.heif_image_handle_get_preferred_decoding_colorspace(handle, byref(space), byref(chroma))
    return (
        asked.code == OK
        and (space.value, chroma.value) == (YCBCR, HALVED)
        and library.heif_image_handle_get_luma_bits_per_pixel(handle) == BITS
        and library.heif_image_handle_get_chroma_bits_per_pixel(handle) == BITS
        and not library.heif_image_handle_has_alpha_channel(handle)
    )


def _planes(library: Any, image: c_void_p, size: tuple[int, int], scale: int, held: _Held) -> Samples | None:
    half = (-(-size[0] // 2), -(-size[1] // 2))
    planes, strides = [], []
    for channel, (wide, high) in zip(CHANNELS, (size, half, half), strict=True):
        found = (library.heif_image_get_width(image, channel), library.heif_image_get_height(image, channel))
        stride = c_int()
        first = library.heif_image_get_plane_readonly(image, channel, byref(stride))
        if found != (wide, high) or not first or stride.value < wide:
            return None
        planes.append((c_ubyte * (stride.value * (high - 1) + wide)).from_address(first))
        strides.append(stride.value)
    is_full = _is_full_range(library, image)
    if is_full is None:
        return None
    (y, cb, cr), (of_y, of_cb, of_cr) = planes, strides
    return Samples((y, cb, cr), size, (of_y, of_cb, of_cr), not is_full, scale, held)


def _is_full_range(library: Any, image: c_void_p) -> bool | None:
    """None where the colours are others than those of BT.601."""
    found = POINTER(_Nclx)()
    if library.heif_image_get_nclx_color_profile(image, byref(found)).code != OK:
        return True
    try:
        return bool(found.contents.full_range) if found.contents.matrix in (UNSPECIFIED, *BT601) else None
    finally:
        library.heif_nclx_color_profile_free(found)
