"""The report of a set as one page that needs nothing else: charts as SVG, a contact sheet as embedded small pictures.

It holds no script and loads nothing; what comes from files (names, cameras) is escaped. Pictures are read again here,
of those alone that are shown.
"""

from __future__ import annotations

import base64
import heapq
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from hotfolder.collection.entries import Entry
from hotfolder.collection.likeness import exact, near
from hotfolder.errors import HotfolderError
from hotfolder.imaging import SMALL_TYPE, Limits, small_jpeg
from hotfolder.paths import show

SHOWN = 12
GROUPS_SHOWN = 24
MEMBERS_SHOWN = 6
SIDE = 200
BARS_MOST = 12
"""Bars of a chart; the rest is added up in a last one."""


class Chosen:
    """Gathers, while the entries pass, those that the contact sheet will show."""

    def __init__(self) -> None:
        self._count = 0
        self._sharp: list[tuple[float, int, bytes]] = []
        self._soft: list[tuple[float, int, bytes]] = []
        self._paths: list[bytes] = []
        self._hashes: list[int | None] = []
        self._digests: list[bytes | None] = []

    def add(self, entry: Entry) -> None:
        self._count += 1
        record = entry.record
        if record.sharpness is not None:
            _keep(self._sharp, (record.sharpness, -self._count, entry.path))
            if record.blurred:
                _keep(self._soft, (-record.sharpness, -self._count, entry.path))
        self._paths.append(entry.path)
        self._hashes.append(int(record.phash, 16) if record.phash and not record.blank else None)
        self._digests.append(entry.digest)

    def sharpest(self) -> list[tuple[bytes, str]]:
        return [(path, f"{value:.2f}") for value, _, path in sorted(self._sharp, reverse=True)]

    def softest(self) -> list[tuple[bytes, str]]:
        return [(path, f"{-value:.2f}") for value, _, path in sorted(self._soft, reverse=True)]

    def groups(self) -> list[list[bytes]]:
        """Of what is alike, the largest first; then of what is the same."""
        alike = near(self._hashes)
        seen = {at for group in alike for at in group}
        same = [group for group in exact(self._digests) if not seen.intersection(group)]
        return [[self._paths[at] for at in group] for group in sorted(alike + same, key=lambda group: -len(group))]


def _keep(heap: list[tuple[float, int, bytes]], item: tuple[float, int, bytes]) -> None:
    if len(heap) < SHOWN:
        heapq.heappush(heap, item)
    else:
        heapq.heappushpop(heap, item)


def build(summary: Mapping[str, Any], chosen: Chosen) -> str:
    """The whole page."""
    template = Template(resources.files("hotfolder.collection").joinpath("page.html").read_text("utf-8"))
    groups = chosen.groups()
    averages = summary["averages"]
    return template.substitute(
        images=f"{summary['images']:,}".replace(",", " "),
        bytes=_size(summary["bytes"]),
        blurred=summary["blurred"],
        blank=summary["blank"],
        exact=summary["duplicates"]["exact"],
        near=summary["duplicates"]["near"],
        averages="".join(f"<tr><th>{escape(name)}<td>{value:g}" for name, value in averages.items()),
        charts="".join(_charts(summary)),
        sharpest=_sheet(chosen.sharpest()),
        softest=_sheet(chosen.softest()),
        groups="".join(_group(group) for group in groups[:GROUPS_SHOWN]) or "<p>None.",
        more=f"<p>… and {len(groups) - GROUPS_SHOWN} groups more." if len(groups) > GROUPS_SHOWN else "",
    )


def _charts(summary: Mapping[str, Any]) -> Iterable[str]:
    yield _bars("Formats", {name: each["images"] for name, each in summary["formats"].items()})
    yield _bars("Resolution", summary["resolutions"])
    yield _bars("Cameras", summary["cameras"])
    yield _bars("Lenses", summary["lenses"])
    years: dict[str, int] = {}
    for month, count in summary["months"].items():
        year = month[:4] if month[:1].isdigit() else month
        years[year] = years.get(year, 0) + count
    yield _columns("Taken in", list(years.items()))
    tenths = [f"{n / 10:.1f}" for n in range(10)]
    for name, title in (("sharpness", "Sharpness"), ("exposure", "Exposure (0 black, 1 white)")):
        yield _columns(title, list(zip(tenths, summary[name], strict=True)))


def _bars(title: str, counts: Mapping[str, int]) -> str:
    """Horizontal bars with their names, for things without an order."""
    rows = [(name, count) for name, count in counts.items() if count]
    if len(rows) > BARS_MOST:
        rest = sum(count for _, count in rows[BARS_MOST - 1 :])
        rows = [*rows[: BARS_MOST - 1], (f"{len(rows) - BARS_MOST + 1} more", rest)]
    most = max((count for _, count in rows), default=1)
    parts = []
    for at, (name, count) in enumerate(rows):
        y, width = 24 * at, max(1.0, 150 * count / most)
        label = name if len(name) <= 24 else name[:23] + "…"
        parts.append(
            f'<text x="168" y="{y + 16}" text-anchor="end"><title>{escape(name)}</title>{escape(label)}</text>'
            f'<rect x="176" y="{y + 3}" width="{width:.1f}" height="18" rx="2"/>'
            f'<text x="{182 + width:.1f}" y="{y + 16}" class="n">{count}</text>'
        )
    return _figure(title, 24 * max(1, len(rows)), parts)


def _columns(title: str, counts: Sequence[tuple[str, int]]) -> str:
    """Upright bars, for what has an order."""
    most = max((count for _, count in counts), default=0) or 1
    step = 370 / max(1, len(counts))
    skip = -(-len(counts) // 10)
    parts = []
    for at, (name, count) in enumerate(counts):
        x, height = step * at, 110 * count / most
        middle = x + step / 2
        width = max(1.0, step - 3)
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{128 - height:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2">'
            f"<title>{escape(name)}: {count}</title></rect>"
        )
        if at % skip == 0:
            parts.append(f'<text x="{middle:.1f}" y="146" text-anchor="middle">{escape(name)}</text>')
        if count and step > 20:
            parts.append(f'<text x="{middle:.1f}" y="{122 - height:.1f}" text-anchor="middle" class="n">{count}</text>')
    return _figure(title, 152, parts)


def _figure(title: str, height: int, parts: Iterable[str]) -> str:
    drawn = f'<svg viewBox="0 0 380 {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    return f"<figure><figcaption>{escape(title)}</figcaption>{drawn}</figure>"


def _sheet(pictures: Sequence[tuple[bytes, str]]) -> str:
    shown = "".join(_picture(path, note) for path, note in pictures)
    return f'<div class="sheet">{shown}</div>' if shown else "<p>None."


def _group(paths: Sequence[bytes]) -> str:
    more = f"<p>… and {len(paths) - MEMBERS_SHOWN} more." if len(paths) > MEMBERS_SHOWN else ""
    pictures = "".join(_picture(path, "") for path in paths[:MEMBERS_SHOWN])
    return f'<section class="group"><h3>{len(paths)} alike</h3><div class="sheet">{pictures}</div>{more}</section>'


def _picture(path: bytes, note: str) -> str:
    name = escape(show(os.path.basename(path)))
    full = escape(show(path))
    try:
        with open(path, "rb") as file:
            jpeg = small_jpeg(file.read(Limits().max_bytes), os.path.basename(path), SIDE)
        picture = f'<img alt="{name}" src="data:{SMALL_TYPE};base64,{base64.b64encode(jpeg).decode()}">'
    except (HotfolderError, OSError):
        picture = '<div class="gone">cannot be read any more</div>'
    note = f"<b>{note}</b> " if note else ""
    return f'<figure title="{full}">{picture}<figcaption>{note}{name}</figcaption></figure>'


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
