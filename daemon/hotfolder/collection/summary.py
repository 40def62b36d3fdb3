"""Statistics of a set of images, gathered in one pass: counts, distributions, averages. Memory does not grow with it,
but for two numbers an image by which duplicates are found."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

from hotfolder.collection.entries import Entry
from hotfolder.collection.likeness import NEAR, near
from hotfolder.imaging.record import Record

RESOLUTIONS = ((1, "under 1 MP"), (4, "1 to 4 MP"), (12, "4 to 12 MP"), (24, "12 to 24 MP"), (50, "24 to 50 MP"))
LARGEST = "50 MP and more"
KINDS_MOST = 500
"""Distinct cameras and lenses that are counted by name; the rest stands as OTHERS."""
OTHERS = "others"
UNKNOWN = "unknown"
BINS = 10
AVERAGED = (
    "megapixels",
    "sharpness",
    "blur",
    "noise",
    "exposure",
    "clipped_low",
    "clipped_high",
    "contrast",
    "colourfulness",
)


class Summary:
    """`add` each entry, then ask `as_dict`."""

    def __init__(self) -> None:
        self.images = 0
        self.bytes = self.written = self.saved = 0
        self.blurred = self.blank = 0
        self._formats: Counter[str] = Counter()
        self._format_bytes: Counter[str] = Counter()
        self._resolutions: Counter[str] = Counter()
        self._cameras: Counter[str] = Counter()
        self._lenses: Counter[str] = Counter()
        self._classes: Counter[str] = Counter()
        self._blurred_classes: Counter[str] = Counter()
        self._months: Counter[str] = Counter()
        self._bins = {name: [0] * BINS for name in ("sharpness", "exposure")}
        self._sums: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._hashes = array("Q")
        self._digests = array("Q")
        self._sizes = array("Q")

    def add(self, entry: Entry) -> None:
        record = entry.record
        self.images += 1
        self.bytes += entry.size
        self.written += entry.written
        self.saved += entry.saved
        self._formats[record.format] += 1
        self._format_bytes[record.format] += entry.size
        self._resolutions[resolution(record.megapixels)] += 1
        _count(self._cameras, record.camera)
        _count(self._lenses, record.lens)
        self._classes[record.camera_class] += 1
        self._months[record.taken_at[:7] if record.taken_at else UNKNOWN] += 1
        self.blank += record.blank
        if record.blurred:
            self.blurred += 1
            self._blurred_classes[record.camera_class] += 1
        self._measure(record)
        if record.phash is not None and not record.blank:
            self._hashes.append(int(record.phash, 16))
        if entry.digest is not None:
            self._digests.append(int.from_bytes(entry.digest[:8], "big"))
            self._sizes.append(entry.size)

    def _measure(self, record: Record) -> None:
        for name in AVERAGED:
            value = getattr(record, name)
            if value is not None:
                self._sums[name] += value
                self._counts[name] += 1
                if name in self._bins:
                    self._bins[name][min(BINS - 1, int(value * BINS))] += 1

    def as_dict(self) -> dict[str, Any]:
        """Shares and averages are 0–1 or in the units of docs/analysis.md; bins are tenths from 0 to 1."""
        return {
            "images": self.images,
            "bytes": self.bytes,
            "rendition_bytes": self.written,
            "saved_bytes": self.saved,
            "formats": {
                name: {"images": n, "bytes": self._format_bytes[name]} for name, n in self._formats.most_common()
            },
            "resolutions": {name: self._resolutions[name] for name in (*(label for _, label in RESOLUTIONS), LARGEST)},
            "cameras": dict(self._cameras.most_common()),
            "lenses": dict(self._lenses.most_common()),
            "camera_classes": {
                name: {"images": n, "blurred": self._blurred_classes[name]} for name, n in self._classes.most_common()
            },
            "months": dict(sorted(self._months.items())),
            "sharpness": self._bins["sharpness"],
            "exposure": self._bins["exposure"],
            "averages": {name: round(self._sums[name] / n, 4) for name, n in self._counts.items()},
            "blurred": self.blurred,
            "blank": self.blank,
            "duplicates": self._duplicates(),
        }

    def _duplicates(self) -> dict[str, int]:
        """Extra copies by content with their bytes, and near duplicates beyond the first of each group."""
        seen: Counter[tuple[int, int]] = Counter(zip(self._digests, self._sizes, strict=True))
        alike = near(self._hashes, NEAR)
        return {
            "exact": sum(n - 1 for n in seen.values()),
            "exact_bytes": sum((n - 1) * size for (_, size), n in seen.items()),
            "near_groups": len(alike),
            "near": sum(len(group) - 1 for group in alike),
        }


def resolution(megapixels: float) -> str:
    return next((label for limit, label in RESOLUTIONS if megapixels < limit), LARGEST)


def _count(counter: Counter[str], name: str | None) -> None:
    name = name or UNKNOWN
    counter[name if name in counter or len(counter) < KINDS_MOST else OTHERS] += 1
