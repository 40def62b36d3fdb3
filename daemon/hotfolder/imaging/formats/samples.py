"""The samples of a page of a TIFF that the image library has no mode for: read as grey ones, side by side.

However many samples a pixel has, and whatever they stand for, compressions of whole bytes pack them as they would a
grey page that is so many times as wide. As such it is described to the decoder; what that hands out is brought into
shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hotfolder.imaging.containers.directories import Structure
from hotfolder.imaging.formats.opening import opened
from hotfolder.imaging.formats.pages import Page

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[Any]

DIFFERENCES = 2
"""`predictor`: each sample is stored as its difference to that of the pixel before."""
_WIDTH, _BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _PREDICTOR, _TILE_WIDTH = 256, 258, 262, 277, 284, 317, 322
_LISTS = (273, 279, 324, 325)
"""Where strips or tiles lie, and how long they are."""
_MEANINGS = (301, 320, 332, 333, 334, 336, 338, 339, 34675)
"""Tags on what the samples mean: none of the decoder's concern here."""


def read(structure: Structure, offset: int, page: Page, plugins: tuple[str, ...]) -> Samples:
    """Rows of pixels of samples of 8 or 16 bits, as they lie. Raises OSError and whatever decoders raise."""
    import numpy as np

    wanted = (_TILE_WIDTH, _PREDICTOR, *_LISTS)
    tags = {entry.tag: structure.numbers(entry) for entry in structure.entries(offset) if entry.tag in wanted}
    tile = (tags.get(_TILE_WIDTH) or (page.width,))[0]
    planes, side = (page.samples, 1) if page.is_apart else (1, page.samples)
    changed: dict[int, tuple[int, ...]] = dict.fromkeys(_MEANINGS, ())
    changed |= {_WIDTH: (page.width * side,), _BITS: (page.bits,), _PHOTOMETRIC: (1,)}
    changed |= {_SAMPLES: (1,), _PLANAR: (1,), _PREDICTOR: (1,)}
    if _TILE_WIDTH in tags:
        changed[_TILE_WIDTH] = (tile * side,)
    found = []
    for plane in range(planes):
        for tag in _LISTS:
            numbers = tags.get(tag, ())
            each = len(numbers) // planes
            changed[tag] = numbers[plane * each : (plane + 1) * each]
        grey = np.asarray(opened(structure.alone(offset, changed), plugins))
        grey = grey.astype(grey.dtype.newbyteorder("="))
        found.append(grey.reshape(len(grey), page.width, side))
    samples: Samples = found[0] if planes == 1 else np.concatenate(found, axis=-1)
    return _summed(samples, tile) if tags.get(_PREDICTOR) == (DIFFERENCES,) else samples


def _summed(samples: Samples, tile: int) -> Samples:
    """What differences stand for; they begin anew with each tile."""
    import numpy as np

    for left in range(0, samples.shape[1], tile):
        part = samples[:, left : left + tile]
        np.cumsum(part, axis=1, dtype=part.dtype, out=part)
    return samples
