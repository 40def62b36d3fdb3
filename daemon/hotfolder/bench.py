"""A short measurement on this machine with somebody's own images, and the settings that follow from it.

Uses the imaging of the daemon, and nothing else of it; writes into a temporary folder alone.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import BinaryIO

from hotfolder import imaging
from hotfolder.errors import MissingExtra, SourceError
from hotfolder.imaging import Plan
from hotfolder.pool import allocator, sizing
from hotfolder.presets import BUILT_IN, OptimizeSpec
from hotfolder.store.names import is_image_name

IMAGES_MOST = 24
LOOKED_AT_MOST = 20_000
SAMPLE_BYTES = 400_000_000
SECONDS_EACH = 4.0
"""Each number of workers is measured this long, or for one pass over the sample."""
WRITTEN = 64 << 20
PHOTO_TIMES = 12.5
"""An image of at least 4 MP shows what a photo of 50 MP of its kind takes; what a small one takes is mostly fixed."""
ENOUGH = 0.97
"""The fewest workers that reach this share of the best rate are suggested."""


@dataclass(frozen=True, slots=True)
class Result:
    """Rates in images or bytes a second, stages in seconds an image, memory in bytes.

    `photo_need`: of a photo of 50 MP, of the usual formats and those of the sample.
    """

    images: int
    megapixels: float
    read_rate: float
    write_rate: float
    stages: dict[str, float]
    by_workers: dict[int, float]
    largest_need: int
    photo_need: int
    left_out: int = 0
    simd: bool = False
    memory_free: int = field(default_factory=sizing.available_memory)

    @property
    def workers(self) -> int:
        best = max(self.by_workers.values())
        return max(2, min(count for count, rate in self.by_workers.items() if rate >= ENOUGH * best))

    @property
    def memory_limit(self) -> int:
        """What that many of the largest images need at once, with the process itself; never so little that the next
        photo of a phone would not fit."""
        return sizing.own_memory(self.workers) + max(self.workers * self.largest_need, self.photo_need)


@dataclass(slots=True)
class _Sample:
    paths: list[str] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    pixels: int = 0
    need: int = 0
    photo_need: int = 0
    formats: set[str] = field(default_factory=set)
    left_out: int = 0


def measure(folder: str, *, copies: bool) -> Result:
    """`copies`: with the optimized copy. Raises FileNotFoundError where the folder holds no image that can be read."""
    allocator.tune()
    plan = Plan(tuple(BUILT_IN.values()), OptimizeSpec() if copies else None)
    began = time.perf_counter()
    sample = _read(folder, plan)
    if not sample.data:
        raise FileNotFoundError(f"{folder} holds no image that can be read")
    read_rate = sum(map(len, sample.data)) / max(1e-6, time.perf_counter() - began)
    stages: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="hotfolder-bench-") as out:
        write_rate = _write_rate(out)
        _render(sample.data[0], plan, out, {})  # codecs are loaded, buffers made
        for data in sample.data[: max(1, len(sample.data) // 2)]:
            _render(data, plan, out, stages)
        count = max(1, len(sample.data) // 2)
        by_workers = {workers: _rate(sample.data, plan, out, workers) for workers in _numbers()}
    return Result(
        len(sample.data),
        sample.pixels / len(sample.data) / 1e6,
        read_rate,
        write_rate,
        {name: seconds / count for name, seconds in stages.items()},
        by_workers,
        sample.need,
        max(sample.photo_need, imaging.photo_peak(plan, sample.formats)),
        sample.left_out,
        imaging.has_simd(),
    )


def _read(folder: str, plan: Plan) -> _Sample:
    """A sample from all over the folder, as far as it fits into memory; and what each image would reserve."""
    sample = _Sample()
    paths = [path for _, path in zip(range(LOOKED_AT_MOST), _images(folder), strict=False)]
    for path in paths[:: max(1, len(paths) // IMAGES_MOST)][:IMAGES_MOST]:
        try:
            with open(path, "rb") as file:
                data = imaging.read_all(file.fileno(), min(os.fstat(file.fileno()).st_size, SAMPLE_BYTES))
            opened = imaging.open_image(data, imaging.Limits(), os.fsencode(path))
        except (OSError, SourceError, MissingExtra):
            sample.left_out += 1
            continue
        if sum(map(len, sample.data)) + len(data) > SAMPLE_BYTES:
            break
        sample.data.append(data)
        sample.pixels += opened.width * opened.height
        sample.formats.add(opened.format)
        need = len(data) + imaging.peak(opened, plan, plan.names())
        sample.need = max(sample.need, need)
        larger = imaging.PHOTO_PIXELS / (opened.width * opened.height)
        sample.photo_need = max(sample.photo_need, round(need * larger) if 1 < larger < PHOTO_TIMES else need)
    return sample


def _images(folder: str) -> Iterator[str]:
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "@", "#"))]
        yield from (os.path.join(where, name) for name in sorted(names) if is_image_name(os.fsencode(name)))


def _write_rate(folder: str) -> float:
    began = time.perf_counter()
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(WRITTEN >> 20):
            file.write(bytes(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    return WRITTEN / (time.perf_counter() - began)


def _render(data: bytes, plan: Plan, folder: str, stages: dict[str, float]) -> None:
    def stage(name: str, seconds: float) -> None:
        stages[name] = stages.get(name, 0.0) + seconds

    with ExitStack() as files:

        def create(preset: str) -> BinaryIO:
            return files.enter_context(tempfile.TemporaryFile(dir=folder))

        imaging.render(imaging.open_image(data, imaging.Limits()), plan, plan.names(), create, stage)


def _numbers() -> list[int]:
    """1, 2, 4 … workers, up to twice the CPUs."""
    most = max(2, min(sizing.AUTO_MOST, round(2 * sizing.usable_cpus())))
    return sorted({1, most, *(2**n for n in range(1, 5) if 2**n < most)})


def _rate(sample: list[bytes], plan: Plan, folder: str, workers: int) -> float:
    """Images a second."""
    began = time.perf_counter()
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        while done == 0 or time.perf_counter() - began < SECONDS_EACH / 2:
            for _ in pool.map(lambda data: _render(data, plan, folder, {}), sample):
                done += 1
            if time.perf_counter() - began > SECONDS_EACH:
                break
    return done / (time.perf_counter() - began)
