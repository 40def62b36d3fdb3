"""One image of a set: where it lies, its bytes, and its analysis record; and how they are read from the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hotfolder import paths
from hotfolder.imaging.record import Record
from hotfolder.index import analyses, folders
from hotfolder.index.readers import Reader

PAGE = 500
FOLDERS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """`path` is absolute; `digest` the hash of its bytes, if known; `written` and `saved` are bytes of renditions."""

    path: bytes
    size: int
    record: Record
    digest: bytes | None = None
    watch: str = ""
    written: int = 0
    saved: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As `analyze --json` shows it."""
        judged = {"blurred": self.record.blurred, "camera_class": self.record.camera_class}
        return paths.named("", self.path) | {"bytes": self.size} | asdict(self.record) | judged


def of_index(connection: Reader, roots: Mapping[str, str], below: Sequence[bytes] = ()) -> Iterator[Entry]:
    """Every analysed source of these watches (root by name), in pages; only those at or below the paths given."""
    after = 0
    known: dict[int, bytes] = {}
    while page := analyses.page(connection, after, PAGE):
        after = page[-1].id
        for row in page:
            if row.watch not in roots:
                continue
            if row.folder_id not in known:
                if len(known) >= FOLDERS_KEPT:
                    known.clear()
                known[row.folder_id] = folders.path_of(connection, row.folder_id)
            root = roots[row.watch].encode("utf-8", "surrogateescape")
            path = b"/".join(part for part in (root, known[row.folder_id], row.name) if part)
            if below and not any(path == place or path.startswith(place.rstrip(b"/") + b"/") for place in below):
                continue
            yield Entry(
                path=path,
                size=row.size,
                record=Record.from_json(row.record),
                digest=row.hash,
                watch=row.watch,
                written=int(row.written),
                saved=max(0, row.size - row.copied) if row.copied is not None else 0,
            )
