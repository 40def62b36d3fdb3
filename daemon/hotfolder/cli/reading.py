"""The entry of one file for `hotfolder analyze`: from the index where that knows the file as it is, otherwise read."""

from __future__ import annotations

import os
from types import TracebackType

import xxhash

from hotfolder import imaging
from hotfolder.collection import Entry
from hotfolder.config import Config, Watch
from hotfolder.errors import Reason, SourceError
from hotfolder.index import analyses, sources, watches
from hotfolder.index.database import Database
from hotfolder.model import State, Version
from hotfolder.presets import AnalyzeSpec
from hotfolder.services.offline import index_file


class Reader:
    """`entry` may be called on several threads."""

    def __init__(self, config: Config | None) -> None:
        self._watches = () if config is None else config.watches
        section = config.limits if config else None
        self._limits = imaging.Limits(section.max_pixels, section.max_bytes) if section else imaging.Limits()
        self._index = Database(index_file(config)) if config else None
        self._ids: dict[str, int] = {}
        if self._index is not None:
            self._ids = {each.name: each.id for each in watches.known(self._index.read())}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._index is not None:
            self._index.close()

    def entry(self, path: str) -> Entry:
        """Raises SourceError, MissingExtra, OSError."""
        watch = self._owner(path)
        spec = (watch.analyze.spec if watch else None) or AnalyzeSpec()
        with open(path, "rb") as file:
            version = Version.of(os.fstat(file.fileno()))
            if watch is not None and (known := self._known(watch, path, version, spec)):
                return known
            if version.size > self._limits.max_bytes:
                text = f"it has {version.size} bytes, more than {self._limits.max_bytes}"
                raise SourceError(Reason.TOO_MANY_BYTES, text)
            data = imaging.read_all(file.fileno(), version.size)
        name = os.fsencode(path)
        record = imaging.analyze_bytes(data, os.path.basename(name), self._limits, spec)
        return Entry(name, len(data), record, xxhash.xxh3_128_digest(data), watch.name if watch else "")

    def _owner(self, path: str) -> Watch | None:
        inside = [watch for watch in self._watches if path.startswith(watch.path.rstrip("/") + "/")]
        return max(inside, key=lambda watch: len(watch.path), default=None)

    def _known(self, watch: Watch, path: str, version: Version, spec: AnalyzeSpec) -> Entry | None:
        if self._index is None or watch.name not in self._ids:
            return None
        connection = self._index.read()
        row = sources.find(connection, self._ids[watch.name], os.fsencode(os.path.relpath(path, watch.path)))
        if row is None or row.state is not State.DONE or not row.version.same_moment(version):
            return None
        record = analyses.of(connection, row.id, spec.signature)
        return None if record is None else Entry(os.fsencode(path), version.size, record, row.version.hash, watch.name)
