"""One image of a set: where it lies, its bytes, and its analysis record; and how they are read from the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hotfolder import paths
from hotfolder.imaging.record import Record
from hotfolder.index import folders
from hotfolder.index.readers import Reader

PAGE = 500
FOLDERS_KEPT = 1000

_PAGE = """
    SELECT s.id, w.name, s.folder_id, s.name, s.size, s.hash, a.record,
        (SELECT total(bytes) FROM rendition r WHERE r.source_id = s.id AND note <> 'kept' AND present = 1),
        (SELECT bytes FROM rendition r WHERE r.source_id = s.id AND preset = 'optimized' AND note = '' AND present = 1)
    FROM source s JOIN watch w ON w.id = s.watch_id JOIN analysis a ON a.source_id = s.id
    WHERE s.id > ? AND s.state = 1 AND s.gone = 0 ORDER BY s.id LIMIT ?"""


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


def of_index(
    connection: Reader, roots: Mapping[str, str], below: Sequence[bytes] = ()
) -> Iterator[Entry]:  # fmt: skip
    """Every analysed source of these watches (root by name), in pages; only those at or below the paths given."""
    after = 0
    known: dict[int, bytes] = {}
    while rows := connection.execute(_PAGE, (after, PAGE)).fetchall():
        after = rows[-1][0]
        for _, watch, folder_id, name, size, digest, record, written, copied in rows:
            if watch not in roots:
                continue
            if folder_id not in known:
                if len(known) >= FOLDERS_KEPT:
                    known.clear()
                known[folder_id] = folders.path_of(connection, folder_id)
            root = roots[watch].encode("utf-8", "surrogateescape")
            path = b"/".join(part for part in (root, known[folder_id], name) if part)
            if below and not any(path == place or path.startswith(place.rstrip(b"/") + b"/") for place in below):
                continue
            saved = max(0, size - copied) if copied is not None else 0
            yield Entry(path, size, Record.from_json(record), digest, watch, int(written), saved)
