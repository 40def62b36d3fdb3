"""Pictures that eight bits a channel cannot carry as they lie: HDR, linear light, floats, 32 bit and signed integers.

OpenCV, which is there anyway, reads what Pillow would clip or refuse; what comes out has eight bits, and its profile
says what they mean. Everything else is Pillow's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image, ImageMath

from hotfolder.imaging.colour import profiles, signals
from hotfolder.imaging.colour.convert import convert

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[Any]

NEARLY = 0.001
"""So far beyond 0–1 floats may lie and still count as black to white: rounding of what wrote them."""


def encoded_profile(profile: bytes) -> bytes:
    """The profile of what comes out: a linear one's primaries with the curve of sRGB, any other as it is."""
    space = profiles.linear_space(profile)
    return profiles.Space(space.name, space.columns).profile() if space else profile


def floats(array: Pixels, profile: bytes = b"") -> Image.Image:
    """Floats and signed integers. Within 0–1 they are black to white, in linear light (as every program that writes
    such files has it) unless a profile with another curve decides otherwise; RGB beyond 1 is light, too, and bent in.
    Other ranges are measurements: stretched from their least to their greatest.
    """
    import numpy as np

    from hotfolder.imaging.colour import hdr

    light = np.nan_to_num(array.astype(np.float32), posinf=0, neginf=0)
    low, high = float(light.min()), float(light.max())
    colour = light.shape[2] if light.ndim == 3 else 1
    linear = not profile or profiles.linear_space(profile) is not None
    if array.dtype.kind == "f" and low >= -NEARLY and (high <= 1 + NEARLY or (colour >= 3 and linear)):
        alpha = np.clip(light[..., 3:4], 0, 1) if colour == 4 else None
        light = light[..., :3] if colour >= 3 else light
        if linear:
            shown = hdr.light_to_srgb(light if light.ndim == 3 else light[..., None])
        else:
            shown = np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)
        if alpha is not None:
            shown = np.concatenate([shown, np.rint(alpha * 255).astype(np.uint8)], axis=-1)
        return _image(shown)
    stretched = (light - low) * (255.0 / ((high - low) or 1.0))
    return _image(np.rint(stretched).astype(np.uint8))


def integers(array: Pixels | None, *, linear: bool) -> Image.Image:
    """Unsigned integers of any width, full scale for white."""
    import numpy as np

    if array is None:
        raise OSError("its samples cannot be read")
    if array.ndim == 3 and array.shape[2] == 2:
        array = array[..., [0, 0, 0, 1]]
    scaled = array / np.float32(np.iinfo(array.dtype).max)
    if linear:
        return floats(scaled)
    return _image(np.rint(scaled * 255).astype(np.uint8))


def without(grey: Pixels, number: int) -> Pixels:
    """Grey samples as RGB and alpha: transparent where they are of that number."""
    import numpy as np

    alpha = np.where(grey == number, 0, np.iinfo(grey.dtype).max).astype(grey.dtype)
    return np.dstack([grey, grey, grey, alpha])


def straight(samples: Pixels) -> Pixels:
    """Unsigned samples with alpha, by which the colours were multiplied, as they were before."""
    import numpy as np

    most = np.iinfo(samples.dtype).max
    alpha = samples[..., -1:].astype(np.float32)
    colours = np.minimum(samples[..., :-1] * (most / np.maximum(alpha, 1)), most)
    return np.concatenate([np.rint(colours).astype(samples.dtype), samples[..., -1:]], axis=-1)


def from_inks(samples: Pixels, profile: bytes) -> Image.Image:
    """Four inks, full scale for all of the ink, as they are; with alpha as a fifth they become sRGB."""

    eight = _eight(samples)
    inks = Image.frombytes("CMYK", (eight.shape[1], eight.shape[0]), eight[..., :4].tobytes())
    if eight.shape[2] == 4:
        return inks
    colours = convert(inks, profile)[0]
    colours.putalpha(_image(eight[..., 4]))
    return colours


def from_lab(samples: Pixels, *, signed: bool) -> Image.Image:
    """CIELAB of 8 or 16 bits under D50, with or without alpha, in sRGB. `signed`: a and b are, as TIFF 6.0 has them;
    otherwise as in version 2 of ICC profiles."""
    import numpy as np

    from hotfolder.imaging.colour import hdr

    eight = samples.dtype.itemsize == 1
    step = 1 if eight else 256
    to_rgb = np.linalg.inv(np.array(profiles.columns(*profiles.PRIMARIES[profiles.BT709])))
    shown = np.empty((*samples.shape[:2], samples.shape[2]), np.uint8)
    for at in range(0, len(samples), hdr.ROWS):
        rows = samples[at : at + hdr.ROWS]
        lightness = rows[..., 0] / (255 if eight else 65535 if signed else 65280) * 100
        kind = np.dtype(np.int8 if eight else np.int16)
        if signed:
            a, b = (rows[..., n].view(kind) / np.float32(step) for n in (1, 2))
        else:
            a, b = (rows[..., n] / np.float32(step) - 128 for n in (1, 2))
        y = (lightness + 16) / 116
        xyz = np.stack([_of_cube_root(y + a / 500), _of_cube_root(y), _of_cube_root(y - b / 200)], axis=-1)
        shown[at : at + hdr.ROWS, :, :3] = hdr.encoded(xyz * profiles.D50 @ to_rgb.T)
    if samples.shape[2] == 4:
        shown[..., 3] = _eight(samples[..., 3])
    return _image(shown)


def _eight(samples: Pixels) -> Pixels:
    """Samples of 16 bits in 8."""
    import numpy as np

    whole: Pixels = samples if samples.dtype == np.uint8 else np.rint(samples / np.float32(257)).astype(np.uint8)
    return whole


def _of_cube_root(f: Pixels) -> Pixels:
    """What CIELAB takes the cube root of, above its straight beginning."""
    import numpy as np

    return np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)


def sixteen(image: Image.Image) -> Image.Image:
    """Grey of 16 bits in eight, rounded."""
    picture: Image.Image = ImageMath.lambda_eval(
        lambda args: args["convert"]((args["image"] + 128) / 257, "L"), image=image.convert("I")
    )
    return picture


def from_hdr(codes: Pixels | None, image: Image.Image, cicp: signals.Cicp) -> Image.Image:
    """An HDR picture in sRGB: from samples of 16 bits, where there are some, otherwise from the image's own."""
    import numpy as np

    from hotfolder.imaging.colour import hdr

    if codes is None or codes.dtype != np.uint16:  # eight bits are all there is; the curve is right for them, too
        alpha = image.mode in ("RGBA", "RGBa", "LA") or "transparency" in image.info
        codes = np.asarray(image.convert("RGBA" if alpha else "RGB")).astype(np.uint16) * 257
    if codes.ndim == 2 or codes.shape[2] == 1:
        codes = np.repeat(codes.reshape(*codes.shape[:2], 1), 3, axis=2)
    elif codes.shape[2] == 2:
        codes = codes[..., [0, 0, 0, 1]]
    shown = hdr.to_srgb(codes[..., :3], cicp)
    if codes.shape[2] == 4:
        shown = np.concatenate([shown, (codes[..., 3:] >> 8).astype(np.uint8)], axis=-1)
    return _image(shown)


def full_scale(codes: Pixels, bits: int, *, video: bool = False) -> Pixels:
    """Samples of so many bits, as they lie, at the scale of 16. `video`: black is 16/256 and white 235/256, as in
    television."""
    import numpy as np

    most = (1 << bits) - 1
    if video:
        step = 1 << (bits - 8)
        return np.rint(np.clip((codes - 16.0 * step) / (219 * step), 0, 1) * 65535).astype(np.uint16)
    return (codes.astype(np.uint32) * 65535 // most).astype(np.uint16)


def by_opencv(data: bytes) -> Pixels | None:
    """The samples as they lie, in the order R, G, B, A; None where OpenCV does not read the file."""
    import cv2
    import numpy as np

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    cv2.setNumThreads(1)
    try:
        array: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if array is None or array.ndim == 2:
        return array
    return array[..., [2, 1, 0, 3]] if array.shape[2] == 4 else array[..., ::-1]


def _image(array: Pixels) -> Image.Image:
    import numpy as np

    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    return Image.fromarray(np.ascontiguousarray(array))
