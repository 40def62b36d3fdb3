"""What someone plants to hurt: headers that lie, bombs, metadata without end, formats that run programs."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits, formats, open_image
from hotfolder.presets import OptimizeSpec
from tests.fuzzing import SLACK, Judge
from tests.helpers import jpeg
from tests.unit.imaging import corner, encoded, rendered, thumb

ZEROS = zlib.compress(bytes(1 << 28), 9)
"""256 MB in 261 kB."""
FRAME = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0"
PALETTE = b"\x80\0\0\0\0\0\xff\xff\xff"
MEGABYTES = 40_000_000


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = zlib.compress(bytes(height * (width * 3 + 1))) if width * height < 1_000_000 else b""
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif(width: int, height: int, *blocks: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + PALETTE + b"".join(blocks) + b";"


def tiff(*tags: tuple[int, int, int, int], tail: bytes = bytes(256), following: int = 0) -> bytes:
    plain = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    plain += [(278, 4, 1, 16), (279, 4, 1, 256), (273, 4, 1, 0)]
    given = {tag[0]: tag for tag in [*plain, *tags]}
    end = 8 + 2 + 12 * len(given) + 4
    given[273] = (273, 4, 1, end)
    entries = b"".join(struct.pack("<HHII", *given[tag]) for tag in sorted(given))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(given)) + entries + struct.pack("<I", following) + tail


def segments(marker: int, start: bytes, count: int) -> bytes:
    """A JPEG with so many full segments before its picture."""
    picture = jpeg(64, 64)
    return picture[:2] + (bytes((0xFF, marker)) + b"\xff\xff" + start.ljust(65533, b"\0")) * count + picture[2:]


def with_size(data: bytes, box: bytes) -> bytes:
    """An ISO base media picture whose `box` claims 65,535 × 65,535."""
    at = data.index(box) + len(box) + 4
    return data[:at] + struct.pack(">II", 65535, 65535) + data[at + 8 :]


DISPOSED = b"\x21\xf9\x04\x08\0\0\0\0"
"""Behind it, the frame that follows is to be cleared: decoders take the room of it for that."""
COMMENT = b"\x21\xfe\x03\x21\xf9\x04\0"
HUGE = {
    "png": png(65535, 65535),
    "gif": gif(65535, 65535, FRAME),
    "gif disposed": gif(10, 10, DISPOSED, b"\x2c" + struct.pack("<HHHH", 0, 0, 20000, 20000) + b"\0\x02\x02\x44\x01\0"),
    "gif disposed late": gif(
        10,
        10,
        b"rubbish",
        COMMENT,
        DISPOSED,
        b"\x2c" + struct.pack("<HHHH", 9, 9, 17000, 17000) + b"\0\x02\x02\x44\x01\0",
    ),
    "gif frame": gif(10, 10, b"\x2c" + struct.pack("<HHHH", 0, 0, 65535, 65535) + b"\0\x02\x02\x44\x01\0"),
    "jpeg": jpeg(64, 64).replace(struct.pack(">HH", 64, 64), b"\xff\xff\xff\xff", 1),
    "ppm": b"P6\n99999 99999\n255\n" + bytes(100),
    "tga": bytes([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 24, 0]) + bytes(100),
    "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 154, 0, 0, 54, 40, 65535, 65535, 1, 24, *(6 * [0])) + bytes(100),
    "ico": struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, 140, 22)
    + struct.pack("<IiiHHIIiiII", 40, 60000, 120000, 1, 32, *(6 * [0]))
    + bytes(100),
    "webp": b"RIFF\x28\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff" * 6 + b"VP8 " + bytes(40),
    "tiff": tiff((256, 4, 1, 65535), (257, 4, 1, 65535)),
}
BOMBS = {
    "png profile": (png(10, 10, chunk(b"iCCP", b"x\0\0" + ZEROS)), Reason.TOO_MANY_BYTES),
    "png text": (png(10, 10, *[chunk(b"zTXt", b"x\0\0" + ZEROS)] * 20), Reason.TOO_MANY_BYTES),
    "png international text": (png(10, 10, *[chunk(b"iTXt", b"x\0\1\0\0\0" + ZEROS)] * 5), Reason.TOO_MANY_BYTES),
    "png exif": (png(10, 10, chunk(b"eXIf", b"MM\0*" + bytes(MEGABYTES))), Reason.TOO_MANY_BYTES),
    "png chunks": (png(10, 10, *[chunk(b"abCd", b"")] * 300_000), Reason.TOO_MANY_BYTES),
    "png frames": (png(10, 10, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))), "done"),
    "gif frames": (gif(100, 100, FRAME * 300_000), "done"),
    "gif comments": (gif(10, 10, *[b"\x21\xfe\xff" + bytes(255) + b"\0"] * 100_000, FRAME), Reason.TOO_MANY_BYTES),
    "jpeg exif": (segments(0xE1, b"Exif\0\0", 600), Reason.TOO_MANY_BYTES),
    "jpeg profile": (segments(0xE2, b"ICC_PROFILE\0\1\1", 600), Reason.TOO_MANY_BYTES),
    "jpeg comments": (segments(0xFE, b"", 600), Reason.TOO_MANY_BYTES),
    "jpeg scans": (
        jpeg(2000, 2000, progressive=True)[:-2] + b"\xff\xda\0\x08\1\1\0\1\5\x10" * 20_000 + b"\xff\xd9",
        Reason.UNSUPPORTED,
    ),
    "webp exif": (
        b"RIFF"
        + struct.pack("<I", MEGABYTES + 30)
        + b"WEBPVP8X\x0a\0\0\0\x08"
        + bytes(9)
        + b"EXIF"
        + struct.pack("<I", MEGABYTES)
        + bytes(MEGABYTES),
        Reason.TOO_MANY_BYTES,
    ),
    "tiff strip": (tiff((259, 3, 1, 8), (279, 4, 1, len(ZEROS)), tail=ZEROS), "done"),
    "tiff xmp": (tiff((700, 7, MEGABYTES, 500), tail=bytes(MEGABYTES + 500)), Reason.TOO_MANY_BYTES),
    "tiff exif": (tiff((34665, 4, MEGABYTES // 4, 500), tail=bytes(MEGABYTES + 500)), Reason.TOO_MANY_BYTES),
    "tiff counts": (tiff((270, 2, 0xFFFFFFF0, 8)), "done"),
    "tiff loop": (tiff(following=8), "done"),
}


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    judge = Judge()
    judge.judge(encoded(corner(), "PNG"), "x.png")  # what the first picture has it load is no cost of a claim
    yield judge
    judge.close()


@pytest.mark.parametrize("kind", HUGE)
def test_a_size_that_is_only_claimed_costs_nothing(judge: Judge, kind: str) -> None:
    verdict = judge.judge(HUGE[kind], f"x.{kind}")
    assert verdict.reason == Reason.TOO_MANY_PIXELS, verdict
    assert verdict.over < 8_000_000


@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize("factors", [0x00, 0x01, 0x10, 0xFF])
def test_a_jpeg_that_claims_no_samples_is_refused(judge: Judge, factors: int, progressive: bool) -> None:
    data = bytearray(jpeg(64, 64, progressive=progressive))
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[frame + 11 : frame + 20 : 3] = bytes([factors] * 3)
    assert judge.judge(bytes(data), "x.jpg").reason in (Reason.DAMAGED, Reason.TRUNCATED)


@pytest.mark.parametrize("disposal", [1, 2, 3])
def test_what_is_to_become_of_the_first_frame_changes_nothing_of_it(tmp_path: Path, disposal: int) -> None:
    """The files of animations as they are common are smaller than one frame."""
    frames = [Image.new("L", (300, 200), grey) for grey in (10, 90, 200)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:], disposal=disposal, loop=0, comment=b"x")
    data = (tmp_path / "x.gif").read_bytes()
    assert len(data) < 300 * 200
    opened = open_image(data, Limits())
    assert (opened.animated, opened.size, opened.data) == (True, (300, 200), data)
    assert max(thumb(data, tmp_path).convert("L").tobytes()) < 13


def test_a_size_that_only_a_box_claims(judge: Judge) -> None:
    verdict = judge.judge(with_size(encoded(corner(), "AVIF"), b"ispe"), "x.avif")
    assert verdict.reason in (Reason.TOO_MANY_PIXELS, Reason.DAMAGED), verdict
    assert verdict.over < 8_000_000


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_end_with_a_reason_within_the_memory_that_was_reserved(judge: Judge, kind: str) -> None:
    data, reason = BOMBS[kind]
    verdict = judge.judge(data, f"x.{kind.partition(' ')[0]}")
    assert verdict.reason == reason, verdict
    assert verdict.over <= max(SLACK, len(data)), verdict  # the bytes themselves may be there twice while they are read


FOREIGN = {
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/owned) (w) file closefile\n",
    "pdf": b"%PDF-1.7\n1 0 obj\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "wmf": b"\xd7\xcd\xc6\x9a" + bytes(60),
    "emf": b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(60),
    "mic/fpx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "psd": b"8BPS\0\1" + bytes(60),
    "mvg": b"push graphic-context\nimage over 0,0 0,0 'https://example.org/x.png'\n",
    "xbm": b"#define x_width 8\n#define x_height 8\nstatic char x_bits[] = {0};\n",
    "zip": b"PK\3\4" + bytes(60),
}
PLUGINS = ("PCX", "IM", "MSP", "SGI", "PALM", "XBM", "SPIDER", "DDS", "ICNS", "JPEG2000", "QOI", "PDF", "EPS")


def foreign(kind: str) -> bytes:
    if kind in FOREIGN:
        return FOREIGN[kind]
    for mode in ("RGB", "L", "1", "F"):
        try:
            return encoded(corner(32, 32).convert(mode), kind)
        except OSError:
            continue
    pytest.skip(f"this Pillow does not write {kind}")


@pytest.mark.parametrize("kind", [*FOREIGN, *PLUGINS])
def test_no_other_decoder_is_reached_under_any_name(kind: str) -> None:
    data = foreign(kind)
    for extension in sorted(formats.suffixes()):
        with pytest.raises(SourceError) as caught:
            open_image(data, Limits(), b"x" + extension)
        assert caught.value.reason in (Reason.UNSUPPORTED, Reason.NOT_AN_IMAGE, Reason.DAMAGED)


GUARD = """
import sys
from hotfolder.imaging import Limits, open_image
from hotfolder.errors import SourceError
from hotfolder.imaging import formats
def hook(event, arguments):
    if event in ("subprocess.Popen", "os.exec", "os.system", "os.posix_spawn", "os.fork", "socket.connect"):
        raise SystemExit(f"{event} {arguments}")
data = sys.stdin.buffer.read()
sys.addaudithook(hook)
for extension in formats.suffixes():
    try:
        open_image(data, Limits(), b"x" + extension)
        raise SystemExit("it was opened")
    except SourceError:
        pass
loaded = [name for name in sys.modules if name in ("PIL.EpsImagePlugin", "PIL.PdfImagePlugin", "PIL.WmfImagePlugin",
    "PIL.MicImagePlugin", "PIL.FpxImagePlugin")]
if loaded:
    raise SystemExit(f"loaded: {loaded}")
"""


@pytest.mark.parametrize("kind", ["eps", "wmf", "mic/fpx", "mvg"])
def test_nothing_runs_a_program_or_even_loads_a_decoder_that_could(kind: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", GUARD], input=FOREIGN[kind], capture_output=True, timeout=60, check=False
    )
    assert process.returncode == 0, process.stderr.decode()


LENIENT = Limits(lenient=True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF"])
def test_what_is_there_can_be_shown(kind: str, tmp_path: Path) -> None:
    # Incompressible, so that half of the bytes is about half of the rows, and several blocks of the decoder's buffer.
    whole = encoded(Image.effect_noise((600, 400), 80).convert("RGB" if kind != "GIF" else "P"), kind)
    cut = whole[: len(whole) * 3 // 5]
    with pytest.raises(SourceError):
        thumb(cut, tmp_path)
    result, written = rendered(cut, tmp_path, optimize=OptimizeSpec(), limits=LENIENT)
    assert "truncated" in result.notes
    assert (result.width, result.height) == (600, 400)
    if "optimized" in written:
        Image.open(io.BytesIO(written["optimized"])).load()  # the copy is whole, as far as a decoder can tell


def test_a_whole_picture_is_not_called_truncated(tmp_path: Path) -> None:
    result, _ = rendered(jpeg(300, 200), tmp_path, optimize=OptimizeSpec(), limits=LENIENT)
    assert result.notes == ()


def test_leniency_ends_with_its_picture(tmp_path: Path) -> None:
    cut = jpeg(300, 200)[:9000]
    rendered(cut, tmp_path, optimize=OptimizeSpec(), limits=LENIENT)
    with pytest.raises(SourceError) as caught:
        thumb(cut, tmp_path)
    assert caught.value.reason is Reason.TRUNCATED


def test_too_little_to_show(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        rendered(png(40, 40)[:40], tmp_path, optimize=OptimizeSpec(), limits=LENIENT)
    assert caught.value.reason in (Reason.TRUNCATED, Reason.DAMAGED)
    assert caught.value.decoder is not None
    assert caught.value.decoder.endswith(" lenient")
