"""Pictures in ISO boxes with any properties, written by hand around what an encoder coded: what libraries write is what
libraries read. And planes of known numbers, for an encoder that takes them as they are."""

from __future__ import annotations

import io
import struct
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hotfolder.imaging.containers import boxes
from hotfolder.imaging.containers.items import Items

Samples = np.ndarray[Any, Any]
ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
CONFIGURED = {b"av01": b"av1C", b"hvc1": b"hvcC"}
"""What says how a kind of item is decoded."""
TURNS = frozenset((b"clap", b"irot", b"imir"))
"""Properties that move pixels: readers must know them."""


def box(kind: bytes, *body: bytes) -> bytes:
    whole = b"".join(body)
    return struct.pack(">I4s", len(whole) + 8, kind) + whole


def full(kind: bytes, *body: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *body)


def ispe(width: int, height: int) -> bytes:
    return full(b"ispe", struct.pack(">II", width, height))


def pixi(*bits: int) -> bytes:
    return full(b"pixi", bytes([len(bits), *bits]))


def nclx(primaries: int, transfer: int, matrix: int, *, whole: bool = True) -> bytes:
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, whole << 7))


def icc(profile: bytes) -> bytes:
    return box(b"colr", b"prof", profile)


def irot(quarters: int) -> bytes:
    """Anticlockwise."""
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    """0 about a horizontal axis (top and bottom change places), 1 about a vertical one."""
    return box(b"imir", bytes([axis]))


def clap(width: int, height: int, x: int, y: int, by: int = 1) -> bytes:
    """Of this size, its middle so far from that of the whole; all of it divided."""
    return box(b"clap", struct.pack(">IIIIiIiI", width, by, height, by, x, by, y, by))


def clap_at(left: int, top: int, width: int, height: int, size: tuple[int, int]) -> bytes:
    """In pixels from the upper left of a picture of this size."""
    return clap(2 * width, 2 * height, 2 * left + width - size[0], 2 * top + height - size[1], 2)


def auxc(kind: bytes) -> bytes:
    return full(b"auxC", kind + b"\0")


@dataclass(frozen=True)
class Part:
    """An item: its bytes, what is said of it, which others it refers to, and what stands behind its name."""

    kind: bytes
    data: bytes
    properties: tuple[bytes, ...] = ()
    refers: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    named: bytes = b""

    def said(self, *more: bytes) -> Part:
        """With more properties, behind the others."""
        return replace(self, properties=(*self.properties, *more))

    def to(self, kind: bytes, *numbers: int) -> Part:
        return replace(self, refers=(*self.refers, (kind, numbers)))


def coded(file: bytes, item: int | None = None) -> Part:
    """What an encoder has made of a picture, with what a decoder needs to know of it and its size."""
    items = Items(file)
    number = items.primary if item is None else item
    kind = items.all[number].kind
    said = tuple(
        file[each.start : each.end]
        for each in items.properties(number)
        if each.kind in (CONFIGURED[kind], b"ispe", b"pixi", b"colr")
    )
    return Part(kind, b"".join(file[start:end] for start, end in items.extents[number]), said)


def without(part: Part, *kinds: bytes) -> Part:
    return replace(part, properties=tuple(each for each in part.properties if each[4:8] not in kinds))


def heif(*parts: Part, primary: int = 1) -> bytes:
    """A file of these items, numbered from 1."""
    kind = b"avif" if any(part.kind == b"av01" for part in parts) else b"heic"
    head = box(b"ftyp", kind, bytes(4), kind, b"mif1", b"miaf")
    known = [each for part in parts for each in part.properties]
    told, at = [], 0
    for number, part in enumerate(parts, 1):
        linked = bytes(
            at + n + 1 | (0x80 if each[4:8] in TURNS | set(CONFIGURED.values()) else 0)
            for n, each in enumerate(part.properties)
        )
        at += len(part.properties)
        told.append(struct.pack(">HB", number, len(linked)) + linked)
    entries = [
        full(
            b"infe", struct.pack(">HH4s", number, 0, part.kind), b"\0" + part.named, version=2, flags=number != primary
        )
        for number, part in enumerate(parts, 1)
    ]
    references = [
        box(kind, struct.pack(f">HH{len(others)}H", number, len(others), *others))
        for number, part in enumerate(parts, 1)
        for kind, others in part.refers
    ]

    def meta(first: int) -> bytes:
        places, where = [], first
        for number, part in enumerate(parts, 1):
            places.append(struct.pack(">HHHII", number, 0, 1, where, len(part.data)))
            where += len(part.data)
        return full(
            b"meta",
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", struct.pack(">H", primary)),
            full(b"iloc", struct.pack(">HH", 0x4400, len(places)), *places),
            full(b"iinf", struct.pack(">H", len(entries)), *entries),
            full(b"iref", *references) if references else b"",
            box(b"iprp", box(b"ipco", *known), full(b"ipma", struct.pack(">I", len(told)), *told)),
        )

    data = b"".join(part.data for part in parts)
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", data)


def grid(rows: int, columns: int, width: int, height: int, *tiles: int) -> Part:
    """Of these items."""
    data = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    return Part(b"grid", data, (ispe(width, height),), ((b"dimg", tiles),))


def with_said_of_its_track(data: bytes, *properties: bytes) -> bytes:
    """A sequence with more boxes in the description of its first track's samples; what lies behind is moved."""
    added = b"".join(properties)
    path, begin, end = [], 0, len(data)
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"av01"):
        found = next(each for each in boxes.inside(data, begin, end) if each.kind == kind)
        path.append(found)
        begin, end = found.body + 8 * (kind == b"stsd"), found.end
    work = bytearray(data)
    for each in path:
        work[each.start : each.start + 4] = struct.pack(">I", each.end - each.start + len(added))
    tables = next(each for each in path if each.kind == b"stbl")
    for each in boxes.inside(data, tables.body, tables.end):
        if each.kind == b"stco":
            (count,) = struct.unpack_from(">I", data, each.body + 4)
            for at in range(each.body + 8, each.body + 8 + 4 * count, 4):
                (offset,) = struct.unpack_from(">I", data, at)
                struct.pack_into(">I", work, at, offset + len(added) * (offset >= end))
    for spans in Items(data).extents.values():
        for start, stop in spans:
            if start >= end:
                at = data.index(struct.pack(">II", start, stop - start))
                struct.pack_into(">I", work, at, start + len(added))
    work[end:end] = added
    return bytes(work)


# --- planes


XMP = b"application/rdf+xml\0"


@dataclass(frozen=True)
class Signal:
    """How light becomes numbers: bits, H.273's matrix, whether all codes are used, and of which samples colour is
    kept."""

    bits: int = 8
    matrix: int = 6
    whole: bool = True
    chroma: str = "444"


WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Of red and blue in brightness (H.273, table 4)."""


def planes(codes: Samples, signal: Signal) -> list[Samples]:
    """Red, green and blue from 0 to 1 as brightness and two colours (H.273, 8.3): integers."""
    red, green, blue = (codes[..., n].astype(float) for n in range(3))
    if signal.matrix == 0:
        parts = [(green, 0.0), (blue, 0.0), (red, 0.0)]
    else:
        of_red, of_blue = WEIGHTS[signal.matrix]
        bright = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
        colours = ((blue - bright) / (2 - 2 * of_blue), (red - bright) / (2 - 2 * of_red))
        parts = [(bright, 0.0), *((each, 0.5) for each in colours)]
    if signal.chroma == "400":
        parts = parts[:1]
    scale, most = 2 ** (signal.bits - 8), 2**signal.bits - 1
    found = []
    for number, (each, middle) in enumerate(parts):
        across, down = (1, 1) if not number else {"420": (2, 2), "422": (2, 1)}.get(signal.chroma, (1, 1))
        values = each.reshape(each.shape[0] // down, down, each.shape[1] // across, across).mean(axis=(1, 3))
        if signal.whole:
            counted = values * most + (middle > 0) * (most + 1) / 2
        else:
            counted = scale * (224 * values + 128 if middle else 219 * values + 16)
        found.append(np.clip(np.rint(counted), 0, most).astype("<u2" if signal.bits > 8 else np.uint8))
    return found


def y4m(codes: Samples, signal: Signal, frames: int = 1) -> bytes:
    """As encoders read it without changing a number."""
    high, wide = codes.shape[:2]
    name = "mono" if signal.chroma == "400" else signal.chroma
    name += {8: "jpeg" if signal.chroma == "420" else ""}.get(signal.bits, f"{'p' * (name != 'mono')}{signal.bits}")
    head = f"YUV4MPEG2 W{wide} H{high} F1:1 Ip A1:1 C{name} XCOLORRANGE={'FULL' if signal.whole else 'LIMITED'}\n"
    return head.encode() + frames * (b"FRAME\n" + b"".join(plane.tobytes() for plane in planes(codes, signal)))


def avif(folder: Path, codes: Samples, signal: Signal, *options: str, frames: int = 1) -> bytes:
    """By avifenc, all but without loss."""
    source, made = folder / "source.y4m", folder / "made.avif"
    source.write_bytes(y4m(codes, signal, frames))
    exact = ["--min", "0", "--max", "4", "--speed", "8", "--jobs", "1"]
    command = ["avifenc", *exact, "--range", "full" if signal.whole else "limited", "--cicp", f"1/13/{signal.matrix}"]
    subprocess.run([*command, *options, source, made], check=True, capture_output=True)
    return made.read_bytes()


def hevc(codes: Samples, signal: Signal) -> bytes:
    """By the encoder that the extra brings, all but without loss."""
    import pillow_heif

    pillow_heif.options.SAVE_HDR_TO_12_BIT = signal.bits == 12
    high, wide = codes.shape[:2]
    grey = signal.chroma == "400"
    bright = codes @ [0.299, 0.587, 0.114] if grey else codes
    mode = ("L" if grey else "RGB") + (";16" if signal.bits > 8 else "")
    numbers = np.rint(bright * (65535 if signal.bits > 8 else 255)).astype("<u2" if signal.bits > 8 else np.uint8)
    file = io.BytesIO()
    options: dict[str, Any] = {
        "quality": 98,
        "chroma": 420 if grey else int(signal.chroma),
        "matrix_coefficients": signal.matrix,
        "color_primaries": 1,
        "transfer_characteristics": 13,
        "full_range_flag": int(signal.whole),
    }
    pillow_heif.encode(mode, (wide, high), numbers.tobytes(), file, **options)
    return file.getvalue()


def levels(image: Image.Image) -> Samples:
    """From 0 to 1."""
    found: Samples = np.asarray(image) / 255.0
    return found
