"""JPEG (ITU-T T.81), with EXIF, XMP, ICC and IPTC in its segments; of an MPO the first picture counts."""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.containers import Endless, segments
from hotfolder.imaging.containers.segments import Segment
from hotfolder.imaging.formats import application, gainmap, tables
from hotfolder.imaging.formats.format import PIECES_MOST, Format, check_pieces
from hotfolder.imaging.formats.values import NO_END, Carried, Density, Dial, GainMap, Memory, Settings

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.formats.opening import Found

SCANS_MOST = 500
"""Scans, each of which costs a pass over the whole picture; encoders write about ten (libjpeg-turbo's own fuzzers stop
at 500, too)."""
SCANNED_MOST = 10_000_000_000
"""Pixels of all scans together: 40 scans of 250 megapixels."""
SEQUENTIAL = (0xC0, 0xC1)
ARITHMETIC = (0xC9, 0xCA, 0xCB)
HIERARCHICAL = (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF)
HOLLOW = 512
"""Zeros at the end of a file that is not filled yet."""
JFIF_END = 20
"""Bytes of SOI and JFIF's own segment, which libjpeg writes first."""
_SOMETHING = re.compile(rb"[^\0]")
_PROBE = 1 << 20
"""Bytes that are tried to learn why a write failed; the file is thrown away afterwards."""
_START, _END = b"\xff\xd8", b"\xff\xd9"
_MOZJPEG = "mozjpeg_lossless_optimization"
_TRANSCODE = f"""
import sys, {_MOZJPEG} as mozjpeg
sys.stdout.buffer.write(mozjpeg.optimize(sys.stdin.buffer.read(), copy=mozjpeg.COPY_MARKERS.ALL))
"""
_PATIENCE = 300
"""Seconds for one picture; 250 megapixels take about ten on an idle machine."""


class Jpeg(Format):
    """What cameras write."""

    name = "jpeg"
    marks = (b"\xff\xd8\xff",)
    extensions = ("jpg", "jpeg", "jpe", "jfif")
    media_type = "image/jpeg"
    plugins = ("JPEG",)  # finds MPO by itself
    is_photo = True
    in_planes = True
    is_scaled = True
    may_move = False
    memory = Memory(encoding=6.0, encoding_inks=13.0)  # progressive: all coefficients are kept

    is_written = True
    longest_side = 65_500
    exif_most = application.PART_MOST - len(application.EXIF)
    xmp_most = application.PART_MOST - len(application.XMP)
    has_alpha = False
    has_inks = True
    is_rewritten = True
    has_gain_map = True
    dial = Dial(tables.STEPS[0], tables.STEPS[-1], start=35, gain=0.55)

    def cut_short(self, data: bytes) -> bool:
        return not data[-64:].rstrip(b"\0").endswith(_END)

    def is_hollow(self, data: bytes) -> bool:
        """libjpeg would show what there is, and grey for the rest. Padding behind the end is none of that."""
        if not data.startswith(self.marks) or data[-HOLLOW:] != bytes(HOLLOW):
            return False
        return not data.rstrip(b"\0").endswith(_END)

    def pieces(self, data: bytes) -> Iterator[int]:
        """Application and comment segments before the first scan, whatever stands between segments (decoders step
        through it byte by byte), and each of the others as a part without length."""
        return _pieces(data, segments.header(data))

    def inspect(self, data: bytes) -> None:
        head = list(islice(segments.header(data), PIECES_MOST + 1))  # one more than passes
        check_pieces(_pieces(data, head), self.decoder)
        self._check_frame(data, head)
        # Most have one scan, and counting through a whole file costs a twentieth of its thumbnails.
        most = min(SCANS_MOST, SCANNED_MOST // max(1, segments.pixels(data, head)))
        if in_one_scan(data, head) or data.count(b"\xff\xda") <= most:
            return
        scans = _scans(data)
        if scans > most:
            many = "too many" if scans > PIECES_MOST else scans
            message = f"it has {many} scans, which would take for ever; of its size at most {most} are read"
            raise SourceError(Reason.UNSUPPORTED, message, decoder=self.decoder)

    def _check_frame(self, data: bytes, head: Sequence[Segment]) -> None:
        process, bits = frame(data, head) or (SEQUENTIAL[0], 8)
        what = ""
        if bits != 8:
            what = f"a {bits}-bit JPEG; hotfolder reads JPEGs of 8 bits"
        elif process in HIERARCHICAL:
            what = "a hierarchical JPEG, which hotfolder does not read"
        elif process == segments.JPEG_LS:
            what = "JPEG-LS, which hotfolder does not read"
        if what:
            raise SourceError(Reason.UNSUPPORTED, f"it is {what}", decoder=self.decoder)

    def open(self, data: bytes) -> Found:
        from hotfolder.imaging.formats import scans  # with the image library

        found = super().open(data)
        if (frame(data, segments.header(data)) or (0, 0))[0] in ARITHMETIC:
            scans.at_once(found.image, len(data))
        if self.cut_short(data) and scans.lack_only_their_end(data):
            return replace(found, pixels=lambda: scans.whole(data, self.plugins), notes=(NO_END,))
        return found

    def keeps_coefficients(self, data: bytes) -> bool:
        return not in_one_scan(data, segments.header(data))

    def density(self, data: bytes) -> Density | None:
        return application.density(data)

    def behind(self, data: bytes) -> bytes | memoryview:
        end = application.end(data)
        return memoryview(data)[end:] if end and _SOMETHING.search(data, end) else b""

    def announces_gain_map(self, data: bytes) -> bool:
        return gainmap.announced(data) is not None

    def gain_map(self, data: bytes) -> GainMap | None:
        return gainmap.find(data)

    def write(self, image: Image.Image, file: BinaryIO, settings: Settings, carried: Carried) -> None:
        # All said outright: what is left out Pillow takes from the source, comments and profiles among it.
        parts = b"".join(segments.written(*each) for each in application.written(carried))
        options: dict[str, Any] = {"icc_profile": b"", "exif": b"", "comment": b"", "extra": parts}
        if settings.tables:
            options |= {"qtables": settings.tables, "subsampling": "4:2:0"}
        else:
            options["quality"] = settings.quality
        try:
            image.save(file, "JPEG", progressive=settings.progressive, optimize=True, **options)
        except OSError as error:
            raise _why(file) or error from error
        _check_whole(file)

    def dressed(self, encoded: memoryview, carried: Carried) -> Iterator[bytes | memoryview]:
        yield encoded[:JFIF_END]
        yield from (segments.written(*each) for each in application.written(carried))
        yield encoded[JFIF_END:]

    def finish(self, file: BinaryIO, carried: Carried) -> None:
        """Density, and what lies behind the picture, with the index of it."""
        file.flush()
        stated = application.stated(carried.density) if carried.density else b""
        if stated and os.pread(file.fileno(), JFIF_END, 0)[6:11] == application.JFIF:
            _put(file, application.DENSITY_AT, stated)
        if carried.behind:
            size = file.seek(0, os.SEEK_END)
            head = os.pread(file.fileno(), min(size, application.HEAD_MOST), 0)
            index = application.index(head, size, carried)
            if index is not None:
                _put(file, *index)
            file.seek(0, os.SEEK_END)
            file.write(carried.behind)

    def rewrite(self, data: bytes, carried: Carried) -> bytes:
        """What lies behind the picture (a second image, a video) goes, unless it is carried."""
        parts = [_START, *(segments.written(*each) for each in application.written(carried, icc=False))]
        scan_from = None
        for segment in segments.walk(data):
            if scan_from is not None:
                parts.append(data[scan_from : segment.start])
                scan_from = None
            if segment.end > len(data):
                raise ValueError("a segment ends behind the file")
            parts.append(application.kept(data, segment))
            if segment.marker == segments.SOS:
                scan_from = segment.end
            if segment.marker == segments.EOI:
                return application.followed(b"".join(parts), carried)
        if scan_from is None:
            raise ValueError("no picture")
        return application.followed(b"".join([*parts, data[scan_from:].rstrip(b"\xff"), _END]), carried)

    def smaller(self, data: bytes, pixels: int) -> bytes:
        """By MozJPEG's coding of the same coefficients, in a process of its own: libjpeg's way with a damaged file is
        there to end the process that called it. What lies behind the picture stays: with its index, or as it is."""
        end = application.end(data)
        if importlib.util.find_spec(_MOZJPEG) is None or not (end == len(data) or application.listed(data)):
            return data
        picture, behind = data[:end], data[end:]
        import subprocess

        from hotfolder.processes import Process

        command = [sys.executable, "-P", "-c", _TRANSCODE]
        with Process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            try:
                found, _ = process.communicate(picture, _PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                return data
        whole = process.returncode == 0 and found.startswith(_START) and found.endswith(_END)
        return application.followed(found, Carried(source=data, behind=behind)) if whole else data

    def is_ours(self, data: bytes, image: Image.Image) -> bool:
        return tables.are_ours(getattr(image, "quantization", None) or {})


FORMAT = Jpeg()


def frame(data: bytes, head: Iterable[Segment]) -> tuple[int, int] | None:
    """The first frame header's marker, and its bits a sample."""
    for segment in head:
        if segment.marker == segments.JPEG_LS and segment.end + 3 <= len(data):
            return segment.marker, data[segment.end + 2]
        if segment.marker in segments.FRAMES and segment.body < len(data):
            return segment.marker, data[segment.body]
    return None


def in_one_scan(data: bytes, head: Iterable[Segment]) -> bool:
    """Whether the first scan has all components, once and for all: decoders read no other, and keep no coefficients."""
    components = 0
    for segment in head:
        if segment.end > len(data):
            return False
        if segment.marker in SEQUENTIAL and segment.end - segment.body >= 6:
            components = data[segment.body + 5]
        if segment.marker == segments.SOS:
            return segment.end > segment.body and data[segment.body] == components > 0
    return False


def _pieces(data: bytes, head: Iterable[Segment]) -> Iterator[int]:
    at, marker = 2, 0
    for marker, start, body, end in head:
        counts = marker in segments.APPLICATION or marker == segments.COM
        yield start - at + (end - body + 2 if counts else 0)
        at = end
    if marker != segments.SOS:
        yield max(0, len(data) - at)


def _scans(data: bytes) -> int:
    """How many there are, as far as anyone wants to know."""
    count = 0
    try:
        for segment in segments.walk(data, 2 * PIECES_MOST):
            count += segment.marker == segments.SOS
    except Endless:
        return max(count, PIECES_MOST + 1)
    return count


def _put(file: BinaryIO, at: int, content: bytes) -> None:
    file.seek(at)
    file.write(content)
    file.flush()


def _check_whole(file: BinaryIO) -> None:
    """Pillow takes a short write for success: on a full disk half a picture would count as made."""
    length = file.seek(0, os.SEEK_END)
    if length < 2 or os.pread(file.fileno(), 2, length - 2) != _END:
        raise _why(file) or OSError(errno.EIO, os.strerror(errno.EIO))


def _why(file: BinaryIO) -> OSError | None:
    """Pillow drops the error number of a failed write; the file system is asked for it once more."""
    try:
        written = os.pwrite(file.fileno(), bytes(_PROBE), os.fstat(file.fileno()).st_size)
    except OSError as error:
        return error
    return None if written == _PROBE else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
