"""The walkers of containers on whatever bytes: what must hold of each, and files that lead them everywhere.

``python -m tests.walkers [SECONDS [SEED]]`` renews the kept files (tests/corpus): it changes them at random, keeps what
takes a walker to a step that none took before, and of these the smallest that reach all.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import random
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from PIL import Image

from hotfolder.imaging import containers
from hotfolder.imaging.containers import boxes, chunks, directories, exchange, items, resources, riff, segments
from tests.fuzzing import mutated

CORPUS = Path(__file__).parent / "corpus"
HERE = str(Path(containers.__file__).parent)
LARGEST = 4096
"""Bytes of a kept file."""
EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
Step = tuple[CodeType, int, int]
"""Of one line to another."""


@dataclass(frozen=True, slots=True)
class Walker:
    """`check` walks through a file and raises AssertionError for what must never be."""

    check: Callable[[bytes], None]
    whole: Callable[[], list[bytes]]

    def files(self, name: str) -> list[bytes]:
        """Whole ones, and those that were kept."""
        return [*self.whole(), *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]


def _forward(parts: Iterable[Any], data: bytes) -> list[Any]:
    """They follow one another, and lie in the file."""
    found = list(parts)
    starts = [part.start for part in found]
    assert starts == sorted(set(starts))
    assert all(0 <= part.start < part.body <= len(data) for part in found)
    return found


def _segments(data: bytes) -> None:
    found = _forward(segments.walk(data), data)
    head = list(segments.header(data))
    assert head == found[: len(head)]
    assert segments.pixels(data, head) < 1 << 32
    assert segments.end(data) <= len(data)


def _chunks(data: bytes) -> None:
    for chunk in _forward(chunks.walk(data), data):
        assert chunks.unpacked(data, chunk, 100) <= 101


def _riff(data: bytes) -> None:
    for chunk in _forward(riff.walk(data), data):
        assert chunk.start + 8 <= riff.end(data)


def _boxes(data: bytes) -> None:
    with contextlib.suppress(containers.Endless):
        assert all(box.end >= box.body for box in _forward(boxes.walk(data), data))
        assert all(box.end <= len(data) for box in boxes.inside(data))
    assert len(boxes.brands(data)) <= boxes.BRANDS_END // 4
    boxes.cut(data)


def _directories(data: bytes) -> None:
    structure = directories.structure(data)
    if structure is None:
        return
    for entry in structure.tree():
        numbers = structure.numbers(entry)
        assert not numbers or structure.number(entry) == numbers[0]
    for page in structure.pages():
        assert structure.following(page) <= len(data)
        structure.holds(page)
        with contextlib.suppress(struct.error):
            alone = directories.structure(structure.alone(page, {256: (1, 2), 257: ()}))
            assert alone is not None
            kept = {entry.tag for entry in alone.entries(alone.first())}
            assert kept - {256} <= {entry.tag for entry in structure.entries(page)} - {257}


def _resources(data: bytes) -> None:
    found = list(resources.walk(data, (4, 20, 40)))
    assert all(one.end <= other.start + 1 for one, other in pairwise(found))
    assert all(each.start + 12 <= each.body <= len(data) for each in found)


def _items(data: bytes) -> None:
    try:
        found = items.Items(data)
    except ValueError:
        return
    asked: list[Callable[[], object]] = [lambda: found.all, lambda: found.references]
    asked.append(lambda: [box.end <= len(data) for box in found.properties(found.primary)].index(False))
    for ask in asked:
        with contextlib.suppress(ValueError):
            ask()
    with contextlib.suppress(ValueError):
        spans = [span for each in found.extents.values() for span in each]
        assert len(spans) <= items.EXTENTS_MOST
        assert all(0 <= end <= len(data) for _, end in spans)
    assert len(list(items.claimed(data))) <= 255 * items.MOST
    assert all(box.end <= len(data) for box in (*items.said(data), *items.said_of_all(data)))


def _exchange(data: bytes) -> None:
    try:
        made = exchange.exchanged(data, EXIF, b"")
    except ValueError:
        return
    assert len(made) == len(data)
    found = items.Items(data)
    thumbnails = {each.item for each in found.references if each.kind == b"thmb"} - {found.primary}
    for number, item in found.all.items():
        if item.kind in exchange.PICTURES and number not in thumbnails:
            for start, end in found.extents.get(number, []):
                assert made[start:end] == data[start:end]


def _encoded(name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(file, name, **options)
    return file.getvalue()


def _jpegs() -> list[bytes]:
    return [_encoded("JPEG", progressive=p, exif=EXIF, comment=b"x", restart_marker_blocks=2) for p in (False, True)]


def _pngs() -> list[bytes]:
    packed = zlib.compress(b"text")
    parts: tuple[tuple[bytes, bytes], ...] = (
        (b"zTXt", b"a\0\0" + packed),
        (b"iTXt", b"a\0\1\0en\0a\0" + packed),
        (b"iCCP", b"a\0\0" + packed),
    )
    parts += ((b"iTXt", b"a\0\0\0\0\0text"), (b"zTXt", b"a\0\0no"), (b"IDAT", b""), (b"IEND", b""))
    return [chunks.SIGNATURE + b"".join(chunks.written(*part) for part in parts)]


def _riffs() -> list[bytes]:
    return [riff.written(b"WEBP", [(b"VP8X", bytes(10)), (b"EXIF", b"odd"), (b"XMP ", b"even")])]


def _avifs() -> list[bytes]:
    icc = b"\0" * 128
    return [
        _encoded("AVIF", exif=EXIF, xmp=b"<x/>", icc_profile=icc),
        _encoded("AVIF"),
        _moving(),
        _kinds(),
        _kinds(apart=10),
    ]


def _moving() -> bytes:
    return _encoded("AVIF", save_all=True, append_images=[Image.new("RGB", (64, 48))])


def _box(kind: bytes, body: bytes, *parts: bytes) -> bytes:
    whole = body + b"".join(parts)
    return struct.pack(">I4s", 8 + len(whole), kind) + whole


def _kinds(apart: int = 40) -> bytes:
    """What encoders seldom write: wide numbers, items in the meta box, references, an aperture, free text. Items have
    40 bytes: less `apart`, they share some."""
    full, wide = bytes(4), b"\x01" + bytes(3)
    kinds = (b"av01\0", b"Exif\0", b"mime\0application/rdf+xml\0", b"av01\0")
    entries = [
        _box(b"infe", b"\x03" + bytes(3), struct.pack(">IH", number, 0), kind + b"\0")
        for number, kind in enumerate(kinds, 1)
    ]
    places = b"".join(
        struct.pack(">IHHHII", number, 1, 0, 1, apart * number, 40) for number in range(1, len(kinds) + 1)
    )
    clap = struct.pack(">8I", 32, 1, 24, 1, 0, 1, 0, 1)
    said = _box(
        b"ipco", b"", _box(b"ispe", full, struct.pack(">II", 64, 48)), _box(b"clap", clap), _box(b"udes", b"me")
    )
    tied = _box(b"ipma", b"\x01\0\0\1", struct.pack(">IIBHHH", 1, 1, 3, 1, 2, 3))
    references = [
        _box(kind, struct.pack(">IHI", one, 1, 1)) for kind, one in ((b"cdsc", 2), (b"cdsc", 3), (b"thmb", 4))
    ]
    meta = [
        _box(b"pitm", wide, struct.pack(">I", 1)),
        _box(b"iinf", wide, struct.pack(">I", len(kinds)), *entries),
        _box(b"iloc", b"\x02" + bytes(3), b"\x44\x00", struct.pack(">I", len(kinds)), places),
        _box(b"iprp", b"", said, tied),
        _box(b"iref", wide, *references),
        _box(b"idat", bytes(300)),
    ]
    return (
        _box(b"ftyp", b"avif\0\0\0\0mif1avif") + _box(b"meta", full, *meta) + _box(b"free", b"") + _box(b"mdat", b"x")
    )


def _structures() -> list[bytes]:
    whole = []
    for order, mark in (("<", b"II"), (">", b"MM")):
        inner = [directories.Value(1, 3, 1, struct.pack(order + "H", 7))]
        values = [
            directories.Value(256, 3, 1, struct.pack(order + "H", 64)),
            directories.Value(257, 4, 1, struct.pack(order + "I", 48)),
            directories.Value(273, 4, 2, struct.pack(order + "II", 8, 9)),
            directories.Value(directories.EXIF, 4, 1, inner),
        ]
        whole.append(directories.written(order, values))
        entries = [(256, 16, 1, 64), (258, 3, 3, 8), (273, 16, 2, 16), (directories.EXIF, 18, 1, 16)]
        head = mark + struct.pack(order + "HHHQQ", 43, 8, 0, 16, len(entries))
        whole.append(head + b"".join(struct.pack(order + "HHQQ", *entry) for entry in entries) + bytes(8))
    return whole


def _blocks() -> list[bytes]:
    parts = [(1028, b"\0\0", b"odd"), (1005, b"\x03abc", bytes(16)), (1036, b"\0\0", b"")]
    return [
        b"".join(
            resources.MARK + struct.pack(">H", n) + name + struct.pack(">I", len(body)) + body + b"\0" * (len(body) & 1)
            for n, name, body in parts
        )
    ]


WALKERS = {
    "segments": Walker(_segments, _jpegs),
    "chunks": Walker(_chunks, _pngs),
    "riff": Walker(_riff, _riffs),
    "boxes": Walker(_boxes, _avifs),
    "directories": Walker(_directories, _structures),
    "resources": Walker(_resources, _blocks),
    "items": Walker(_items, _avifs),
    "exchange": Walker(_exchange, _avifs),
}


def steps(check: Callable[[bytes], None], data: bytes) -> set[Step]:
    """Those that the walkers take through a file."""
    found: set[Step] = set()

    def enter(frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        last = 0

        def line(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal last
            if event == "line":
                found.add((frame.f_code, last, frame.f_lineno))
                last = frame.f_lineno
            return line

        return line

    sys.settrace(enter)
    try:
        check(data)
    finally:
        sys.settrace(None)
    return found


def renew(name: str, walker: Walker, seconds: float, dice: random.Random) -> Iterator[bytes]:
    """The smallest files of those tried that take the walker wherever any took it."""
    known: list[tuple[bytes, set[Step]]] = []
    seen: set[Step] = set()
    waiting = walker.files(name)
    end = time.monotonic() + seconds
    while waiting or time.monotonic() < end:
        data = waiting.pop() if waiting else mutated(dice.choice(known)[0], dice)[:LARGEST]
        taken = steps(walker.check, data)
        if not taken <= seen or not known:
            seen |= taken
            known.append((data, taken))
    reached: set[Step] = set()
    for data, taken in sorted(known, key=lambda each: len(each[0])):
        if not taken <= reached:
            reached |= taken
            yield data


def write(folder: Path, files: Iterable[bytes]) -> int:
    """The files of a folder are these, each named by its content; how many bytes they have."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {hashlib.sha256(data).hexdigest()[:12]: data for data in files}
    for path in folder.iterdir():
        path.unlink()
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    return sum(map(len, kept.values()))


def main() -> None:
    """Renew the files of each walker in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=20.0, help="for each walker")
    parser.add_argument("seed", type=int, nargs="?", default=1)
    arguments = parser.parse_args()
    for name, walker in WALKERS.items():
        size = write(CORPUS / name, list(renew(name, walker, arguments.seconds, random.Random(arguments.seed))))
        print(f"{name}: {len(list((CORPUS / name).iterdir()))} files, {size} bytes")


if __name__ == "__main__":
    main()
