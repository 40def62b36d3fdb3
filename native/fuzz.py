"""The accelerator under sanitizers, on damaged pictures: ``python native/fuzz.py [SECONDS [SEED]] [--corpus FOLDER]``.

Builds it with those for addresses, leaks and undefined behaviour, then decodes, resamples and encodes what seeded
mutations make of small JPEGs of every kind and of the kept ones (tests/corpus), and takes lines, planes and packed
strips by chance; with some of them memory runs out on the way. What leads the decoders to a new step is mutated again.
Ends with 0 where nothing was found; else the picture that it died of is kept. libjpeg itself comes from the system, and
is not built anew. ``--renew`` keeps, of all that was tried, the smallest pictures that lead to every step.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import io
import os
import random
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

SANITIZERS = "-fsanitize=address,undefined"
COUNTING = ("--coverage", "-O0")
"""At -O1, gcov knows not all lines."""
LARGEST = 4_000_000
"""Pixels that a damaged header may claim; more would only take longer."""
LAST = "last"
"""The file that has the picture that is tried now."""
STEPS = 40
"""More allocations than one call makes."""
LOOKS = 60
"""As often a call looks at the clock, mostly."""
ABORTED = 99
"""Exit status where the sanitizer for addresses ended it."""
HERE = Path(__file__).parent
MARKERS = re.compile(rb"\xff[\xc0\xc2\xc4\xda\xdd]")
LIES = (0, 1, 2, 3, 4, 8, 0x11, 0x12, 0x21, 0x22, 0x41, 0x14, 63, 64, 255)
SOURCES = sorted(path for path in HERE.glob("*.c") if path.name not in ("failing.c", "tracing.c"))
CORPUS, FOUND = (HERE.parent / "tests/corpus" / name for name in ("core", "found"))
"""What leads everywhere, made anew by --renew; and what hurt once, or was made by hand."""
LARGEST_KEPT = 4096
"""Bytes of a picture that is kept."""
OURS = (*(f"/{path.name}" for path in SOURCES), "/libjpeg.so")
"""Who asked for memory that counts as lost: what Python and its libraries lose is not looked for here."""
RECYCLED = "in PyTuple_New "
"""Python uses small tuples again: who first asked for one need not be who lost it when memory ran out."""


def build(folder: Path, *more: str) -> dict[str, str]:
    """Compile into `folder`, with `more` options; gives the environment in which Python can load what was made."""
    include = sysconfig.get_paths()["include"]
    tracing = str(folder / "tracing.o")
    subprocess.run(["gcc", "-O1", "-fPIC", "-c", "-o", tracing, str(HERE / "tracing.c")], check=True)
    command = ["gcc", "-g", "-O1", SANITIZERS, "-fno-sanitize-recover=all", "-shared", "-fPIC", "-std=gnu11"]
    command += ["-fsanitize-coverage=trace-pc", "-Wl,-Bsymbolic", tracing]
    command += [
        "-Dclock_gettime=ticking",
        *more,
        f"-I{include}",
        "-o",
        str(folder / "_planes.so"),
        *map(str, SOURCES),
        "-ljpeg",
        "-lm",
    ]
    subprocess.run(command, check=True)
    failing = str(folder / "failing.so")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", failing, str(HERE / "failing.c")], check=True)
    names = [f"-print-file-name={name}.so" for name in ("libasan", "libubsan")]
    found = [subprocess.check_output(["gcc", name], text=True).strip() for name in names]
    # Leaks are asked for while Python lives, when all that it holds can be reached; whole stacks tell whose they are.
    options = "detect_leaks=1:leak_check_at_exit=0:allocator_may_return_null=1:verify_asan_link_order=0"
    options += f":fast_unwind_on_malloc=0:malloc_context_size=12:exitcode={ABORTED}:log_path={folder / 'found'}"
    return {
        **os.environ,
        "LD_PRELOAD": " ".join([failing, *found]),
        "ASAN_OPTIONS": options,
        "LSAN_OPTIONS": "use_tls=0",  # gcc 12's leak sanitizer may take it to lie where nothing is, and crash
        "PYTHONPATH": str(folder),
        "PYTHONMALLOC": "malloc",
        "FUZZED": str(folder),
    }


def leaks(folder: Path) -> list[str]:
    """What the leak sanitizer finds now of ours: a paragraph each."""
    ctypes.CDLL(None).__lsan_do_recoverable_leak_check()
    found = "".join(file.read_text() for file in sorted(folder.glob("found.*")))
    lost = (each for each in found.split("\n\n") if "leak of" in each and RECYCLED not in each)
    return [each for each in lost if any(name in each for name in OURS)]


def corpus(dice: random.Random) -> list[bytes]:
    """Noise of awkward sizes in every sampling, baseline and progressive, grey and in inks."""
    made = []
    for size in ((1, 1), (2, 3), (7, 9), (16, 16), (17, 33), (64, 48), (131, 77), (200, 3), (3, 200)):
        image = Image.frombytes("RGB", size, dice.randbytes(size[0] * size[1] * 3))
        kinds: list[dict[str, Any]] = [
            {"subsampling": s, "progressive": p} for s in ("4:4:4", "4:2:2", "4:2:0") for p in (False, True)
        ]
        kinds.append({"restart_marker_blocks": 1})
        made += [_jpeg(image, quality=dice.choice((5, 50, 95)), **options) for options in kinds]
        made += [_jpeg(image.convert("L"), progressive=True), _jpeg(image.convert("L")), _jpeg(image.convert("CMYK"))]
    return made


def _jpeg(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Some bytes changed, lost, doubled or cut off; or a header, of a frame, of tables, of a scan, that lies."""
    found = bytearray(data)
    for _ in range(dice.choice((0, 1, 1, 2, 4, 16))):
        at = dice.randrange(len(found))
        kind = dice.randrange(6)
        if kind == 0:
            found[at] = dice.randrange(256)
        elif kind == 1:
            found[at] ^= 1 << dice.randrange(8)
        elif kind == 2:
            del found[at : at + dice.randrange(1, 40)]
        elif kind == 3:
            found[at:at] = found[dice.randrange(len(found)) :][: dice.randrange(1, 60)]
        elif kind == 4:
            del found[max(4, at) :]
        else:
            places = [place.start() for place in MARKERS.finditer(found)]
            at = dice.choice(places or [0]) + 2 + dice.randrange(17)
            if at < len(found):
                found[at] = dice.choice(LIES)
        if not found:
            return b"\xff\xd8"
    return bytes(found)


class Trace:
    """The steps of decoding, as bits of a number; and which pictures led to new ones."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._taken = (ctypes.c_uint8 * (1 << 16)).in_dll(ctypes.CDLL(core.__file__), "steps_taken")
        self._seen = 0
        self.known: list[tuple[bytes, int]] = []

    def look(self, data: bytes) -> bool:
        """Whether it leads to a new one."""
        size = stated(data)
        if size is None or size[0] * size[1] > LARGEST:
            return False
        ctypes.memset(self._taken, 0, len(self._taken))
        for scale in (1, 2, 8):
            with contextlib.suppress(self._core.Declined, ValueError):
                self._core.decode(data, *size, scale)
        taken = int.from_bytes(self._taken, "little")
        if not taken & ~self._seen:
            return False
        self._seen |= taken
        self.known.append((data, taken))
        return True

    def smallest(self) -> list[bytes]:
        """Of the pictures that led to new ones, as many as lead to all."""
        reached, found = 0, []
        for data, taken in sorted(self.known, key=lambda each: len(each[0])):
            if taken & ~reached and len(data) <= LARGEST_KEPT:
                reached |= taken
                found.append(data)
        return found


def stated(data: bytes) -> tuple[int, int] | None:
    """The size in its header."""
    try:
        return Image.open(io.BytesIO(data)).size
    except Exception:  # noqa: BLE001 - whatever Pillow says of it, the accelerator is asked all the same
        return None


def keep(folder: Path, files: list[bytes]) -> None:
    """Each named by its content."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in files:
        (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


def compare(core: Any, data: bytes, size: tuple[int, int], scale: int, ours: Any) -> None:
    """What our decoder reads libjpeg reads, without a warning: it is asked by a byte before the end that ours refuses.
    Samples may differ: what is damaged leads to sums that overflow, here otherwise than there."""
    end = data.rindex(b"\xff\xd9")
    theirs = core.decode(data[:end] + b"\xff" + data[end:], *size, scale)
    assert [ours.plane(i)[0] for i in range(ours.count)] == [theirs.plane(i)[0] for i in range(theirs.count)]


def starve(ask: Callable[[], object], number: int) -> None:
    """Ask, and let the allocation of this number fail on the way, be it Python's, libjpeg's or ours."""
    fail_at = ctypes.CDLL(None).fail_at
    for fails, call in ((number, ask), (0, int)):
        try:  # where it is still to come, whatever is asked of Python may be what fails: nothing more is asked here
            fail_at(fails)
            call()
        except MemoryError:
            pass


def hurry(ask: Callable[[None, float], object], looks: int) -> None:
    """Ask, and let its time be over when it looks at the clock for this time."""
    with contextlib.suppress(TimeoutError):
        ask(None, float(looks))


def attack(core: Any, data: bytes, dice: random.Random) -> bool:
    """Everything that can be asked of one file; whether it was decoded at all."""
    size = stated(data) or (dice.choice((1, 16, 64)), dice.choice((1, 16, 48)))
    if size[0] * size[1] > LARGEST:
        return False
    scale = dice.choice((1, 2, 4, 8))
    try:
        planes = core.decode(data, *size, scale)
    except (core.Declined, ValueError):
        return False
    if planes.direct:
        compare(core, data, size, scale, planes)
    starve(lambda: core.decode(data, *size, scale), dice.randrange(1, STEPS))
    hurry(partial(core.decode, data, *size, scale), dice.randrange(LOOKS))
    orientation = dice.randrange(1, 9)
    wide, high = size if orientation < 5 else size[::-1]
    goal = (dice.choice((1, 2, 3, 15, 16, 17, 31, 100, 257)), dice.choice((1, 2, 3, 15, 16, 17, 33, 90)))
    left, right = sorted(dice.uniform(0, wide) for _ in range(2))
    top, bottom = sorted(dice.uniform(0, high) for _ in range(2))
    for box in ((0.0, 0.0, float(wide), float(high)), (left, top, right, bottom)):
        small = planes.resized(goal, box, orientation, True)
        again = small.resized((dice.randrange(1, 50), 9), (0.0, 0.0, float(goal[0]), float(goal[1])), 1, True)
        same = small.resized(goal, (0.0, 0.0, float(goal[0]), float(goal[1])), 1, True)
        del small
        for each in (again, same):
            picture = Image.open(io.BytesIO(each.jpeg(dice.randrange(1, 101), dice.randrange(3))))
            picture.load()
            assert picture.size == each.size
        for average in (False, True):
            full = planes.resized(goal, box, orientation, False, average)
            assert all(full.plane(number)[0] == goal for number in range(full.count))
    whole = planes.resized((wide, high), (0.0, 0.0, float(wide), float(high)), orientation, True)
    whole.jpeg(85, 1)
    starve(lambda: planes.resized((wide, high), box, orientation, False), dice.randrange(1, STEPS))
    starve(lambda: whole.jpeg(95, dice.randrange(3)), dice.randrange(1, STEPS))
    hurry(partial(planes.resized, (wide, high), box, orientation, dice.random() < 0.5, False), dice.randrange(LOOKS))
    hurry(partial(whole.jpeg, 95, dice.randrange(3), None), dice.randrange(LOOKS))
    hurry(partial(whole.plane, 0), dice.randrange(LOOKS))
    return True


def attack_lines(core: Any, dice: random.Random) -> None:
    """Pixels of others in every way that they come: lines that are filtered by chance, squares, planes."""
    size = (dice.choice((1, 2, 7, 31, 64, 255, 300, 2100)), dice.choice((1, 2, 5, 9, 33)))
    scale, channels = dice.choice((1, 2, 4, 8)), dice.choice((1, 3, 4))
    palette = dice.randbytes(3 * dice.randrange(1, 257)) if channels == 1 and dice.random() < 0.5 else None
    data = bytearray(dice.randbytes((size[0] * channels + 1) * size[1]))
    filters = dice.choice((-1, -1, 0, 1, 4))
    for at in range(0, len(data) if filters < 0 else 0, size[0] * channels + 1):
        data[at] = dice.randrange(6 if dice.random() < 0.02 else 5)
    if channels == 4:
        data = bytearray(b"\xff" * len(data)) if filters == 0 else data
    starve(lambda: core.lines(*size, channels, scale, palette, filters), dice.randrange(1, STEPS))
    reader = core.lines(*size, channels, scale, palette, filters)
    with contextlib.suppress(core.Declined):
        for at in range(0, len(data), step := dice.randrange(1, 5000)):
            reader.add(data[at : at + step])
        reader.planes().resized((9, 9), (0.0, 0.0, *map(float, size)), 1, True).jpeg(80, 1)
    add = core.lines(*size, channels, scale, palette, filters).add
    hurry(partial(_declined, core, partial(add, data)), dice.randrange(LOOKS))
    grey = dice.randbytes(size[0] * size[1])
    core.draw(grey, *size, scale).plane(0)
    starve(lambda: core.draw(grey, *size, scale), dice.randrange(1, STEPS))
    hurry(partial(core.draw, grey, *size, scale), dice.randrange(LOOKS))
    half = bytes(-(-size[0] // 2) * -(-size[1] // 2))
    whole = (size[0] * scale, size[1] * scale)
    strides = (size[0], -(-size[0] // 2), -(-size[0] // 2))
    gathers = partial(core.gather, *whole, grey, half, half, size, strides, dice.choice((1, 2, 4, 8)))
    gathers(dice.random() < 0.5).resized((9, 9), (0.0, 0.0, *map(float, whole)), 3, True)
    starve(lambda: gathers(True), dice.randrange(1, STEPS))
    hurry(partial(gathers, True), dice.randrange(LOOKS))


def attack_packed(core: Any, dice: random.Random) -> None:
    """LZW of codes by chance, and of such that mostly stand for something."""
    if dice.random() < 0.3:
        packed, room = b"\x80" + dice.randbytes(dice.randrange(3000)), dice.randrange(20_000)
    else:
        file, side = io.BytesIO(), dice.randrange(1, 200)
        Image.frombytes("L", (side, side), bytes(dice.choices(range(dice.randrange(1, 257)), k=side * side))).save(
            file, "TIFF", compression="tiff_lzw"
        )
        with Image.open(file) as image:
            at, length = image.tag_v2[273][0], image.tag_v2[279][0]  # type: ignore[attr-defined]
        packed, room = damaged(file.getvalue()[at : at + length], dice), dice.choice((side * side, 3, 99_999))
    for size in (room, dice.randrange(room + 1)):
        with contextlib.suppress(core.Declined):
            core.unpack(packed, size)
    hurry(partial(_declined, core, partial(core.unpack, packed, room)), dice.randrange(LOOKS))


def _declined(core: Any, ask: Callable[..., object], cancel: None, seconds: float) -> None:
    with contextlib.suppress(core.Declined):
        ask(cancel, seconds)


def starve_large(core: Any, dice: random.Random) -> None:
    """Each allocation fails in turn, with a picture whose file outgrows what was taken for it at first."""
    size = (640, 480)
    data = _jpeg(Image.frombytes("RGB", size, dice.randbytes(size[0] * size[1] * 3)), quality=95)
    box = (0.0, 0.0, *map(float, size))
    planes = core.decode(data, *size, 1)
    whole = planes.resized(size, box, 1, True)
    for number in range(1, STEPS):
        for progressive in (False, True):
            file = _jpeg(Image.new("RGB", size), progressive=progressive)
            starve(partial(core.decode, file, *size, 2), number)
        for turned in (1, 6):
            starve(partial(planes.resized, (90, 60), (0.0, 0.0, 99.0, 99.0), turned, True), number)
        for scans in range(3):
            starve(partial(whole.jpeg, 95, scans), number)


def supervise(counters: Path | None) -> int:
    """Build it, and fuzz in a process that may die; gives its exit status."""
    with tempfile.TemporaryDirectory(dir=counters) as made:
        folder = Path(made)
        command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:]]
        environment = build(folder, *(COUNTING if counters else ()))
        code = subprocess.run(command, env=environment, check=False).returncode
        if code == ABORTED:
            print(*(file.read_text() for file in folder.glob("found.*")), sep="\n", file=sys.stderr)
        if code and (folder / LAST).exists():
            keep(FOUND, [(folder / LAST).read_bytes()])
    return code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    parser.add_argument("seed", type=int, nargs="?", default=int(time.time()))
    parser.add_argument("--corpus", type=Path, help="every file below is tried as it is, then damaged")
    parser.add_argument("--counters", type=Path, help="a folder for what gcov reads")
    parser.add_argument("--renew", action="store_true", help="the kept pictures, instead of adding to them")
    arguments = parser.parse_args()
    if "FUZZED" not in os.environ:
        sys.exit(supervise(arguments.counters))
    import _planes  # type: ignore[import-not-found]

    dice, folder, trace = random.Random(arguments.seed), Path(os.environ["FUZZED"]), Trace(_planes)
    sources = corpus(dice)
    kept, found = (sorted(each.glob("*")) for each in (CORPUS, FOUND))
    given = sorted(path for path in arguments.corpus.rglob("*") if path.is_file()) if arguments.corpus else []
    starve_large(_planes, dice)
    tried, decoded = 0, 0

    def attempt(data: bytes) -> None:
        nonlocal tried, decoded
        (folder / LAST).write_bytes(data)
        decoded += attack(_planes, data, dice)
        if trace.look(data):
            sources.append(data)
        tried += 1

    sources += [path.read_bytes() for path in (*kept, *found, *given) if path.stat().st_size]
    for data in tuple(sources):
        attempt(data)
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        attempt(damaged(dice.choice(sources), dice))
        attack_lines(_planes, dice)
        attack_packed(_planes, dice)
    (folder / LAST).unlink()
    if arguments.renew:
        for path in kept:
            path.unlink()
        keep(CORPUS, trace.smallest())
    lost = leaks(folder)
    if lost:
        sys.exit(
            "\n\n".join(lost[:5]) + f"\n\nseed {arguments.seed}: {tried} files, {decoded} decoded, {len(lost)} leaks"
        )
    print(f"seed {arguments.seed}: {tried} files, {decoded} decoded, nothing found")
    assert decoded


if __name__ == "__main__":
    main()
