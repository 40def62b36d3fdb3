"""The picture of a sequence in an ISO base media file (ISO/IEC 14496-12): what is said of the samples of its track."""

from __future__ import annotations

from hotfolder.imaging.containers import Endless, boxes
from hotfolder.imaging.containers.boxes import Box

_ENTRY = 78
"""Bytes of a visual sample entry before its boxes."""
_TO_ENTRIES = (b"mdia", b"minf", b"stbl", b"stsd")


def said(data: bytes, kind: bytes) -> list[Box]:
    """Of the first track whose samples are of that kind and that belongs to no other: colour, turns …; nothing where
    there is none, or it cannot be read."""
    try:
        for movie in boxes.inside(data):
            if movie.kind == b"moov":
                for track in boxes.inside(data, movie.body, movie.end):
                    entry = _entry(data, track, kind) if track.kind == b"trak" else None
                    if entry is not None:
                        return list(boxes.inside(data, entry.body + _ENTRY, entry.end))
    except Endless:
        pass
    return []


def _entry(data: bytes, track: Box, kind: bytes) -> Box | None:
    """How its samples are coded; None where they are coded otherwise, or are another track's alpha."""
    inner = {box.kind: box for box in boxes.inside(data, track.body, track.end)}
    others = inner.get(b"tref")
    if others and any(box.kind == b"auxl" for box in boxes.inside(data, others.body, others.end)):
        return None
    at: Box | None = track
    for name in _TO_ENTRIES:
        if at is None:
            return None
        at = next((box for box in boxes.inside(data, at.body, at.end) if box.kind == name), None)
    if at is None:
        return None
    return next((box for box in boxes.inside(data, at.body + 8, at.end) if box.kind == kind), None)
