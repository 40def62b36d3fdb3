"""hotfolder as a library: render files, many at once, and read what a daemon's index knows. Needs no daemon.

>>> import hotfolder
>>> done = hotfolder.render(photo, out, presets=["small", hotfolder.Preset("wide", 64, 16, fit="cover", suffix="_w")])
>>> [(each.preset, each.path.name, each.width, each.height) for each in done.files]
[('small', 'photo_thumb_small.jpg', 150, 112), ('wide', 'photo_w.jpg', 64, 16)]

Everything that an image can cause is a `SourceError` with a `reason`; what the disk does stays an `OSError`.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from hotfolder import imaging
from hotfolder.errors import HotfolderError, MissingExtra, Reason, SourceError
from hotfolder.index import catalog, folders, readonly, renditions, watches
from hotfolder.pool import sizing
from hotfolder.pool.threads import ElasticPool
from hotfolder.presets import BUILT_IN, OptimizeSpec, Preset
from hotfolder.store import atomic
from hotfolder.store.gathering import Gathering, Placed, Targets
from hotfolder.store.names import rendition_path
from hotfolder.store.staging import Staging

AnyPath = str | os.PathLike[str]
Progress = Callable[[int, int], None]

__all__ = ["Batch", "File", "Index", "Known", "Renditions", "batch", "open_index", "render"]


@dataclass(frozen=True, slots=True)
class File:
    """One rendition. `note`: ``larger`` than its source; ``kept`` has no path: none can be made of this format."""

    preset: str
    path: Path | None
    width: int
    height: int
    bytes: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Renditions:
    """What was made of one source; width and height are those of its pixels, upright."""

    source: Path
    format: str
    width: int
    height: int
    files: tuple[File, ...]
    notes: tuple[str, ...] = ()


def render(
    source: AnyPath,
    to: AnyPath,
    *,
    presets: Iterable[Preset | str] | None = None,
    optimize: OptimizeSpec | None = None,
    limits: imaging.Limits | None = None,
) -> Renditions:
    """Make renditions of one file: ``to/<name><suffix>.<ext>``; with `optimize` also ``to/optimized/<file name>``.

    `presets`: specifications, or names of built-in ones; default: all six built-in ones. Files appear whole or not at
    all, and replace former ones of their name, but never a source. Raises SourceError and MissingExtra for what the
    image causes, OSError for what the disk does, ValueError for an unknown preset.
    """
    chosen, placed = _presets(presets), Placed(Path(source))
    plan, gathering = imaging.Plan(chosen, optimize), Gathering(Path(to), chosen, optimize)
    gathering.protect(placed.source)
    return _render(placed.source, Path(to), plan, limits or imaging.Limits(), gathering, gathering.targets(placed))


def process(
    sources: Iterable[AnyPath],
    to: AnyPath,
    *,
    presets: Iterable[Preset | str] | None = None,
    optimize: OptimizeSpec | None = None,
    limits: imaging.Limits | None = None,
) -> Iterator[tuple[Path, Renditions | HotfolderError | OSError]]:
    """`render` of each, in turn; one named twice is done once. Files whose renditions would meet keep their folders."""
    chosen, limits = _presets(presets), limits or imaging.Limits()
    plan, gathering = imaging.Plan(chosen, optimize), Gathering(Path(to), chosen, optimize)
    for placed in gathering.arrange(map(Path, sources)):
        try:
            targets = gathering.claim(placed)
            yield placed.source, _render(placed.source, Path(to), plan, limits, gathering, targets)
        except (SourceError, MissingExtra, OSError) as error:
            yield placed.source, error


def _render(
    source: Path, to: Path, plan: imaging.Plan, limits: imaging.Limits, gathering: Gathering, targets: Targets
) -> Renditions:
    # Not blocking: a pipe without a writer would keep its reader for ever.
    with open(source, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as opened_file:
        if not stat.S_ISREG(os.fstat(opened_file.fileno()).st_mode):
            raise SourceError(Reason.NOT_AN_IMAGE, "it is no regular file")
        data = opened_file.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise SourceError(Reason.TOO_MANY_BYTES, f"it has more than {limits.max_bytes} bytes")
    gathering.check(targets)
    opened = imaging.open_image(data, limits, os.fsencode(source.name))
    to.mkdir(parents=True, exist_ok=True)
    output_fd = atomic.open_root(str(to))
    try:
        with Staging(output_fd, b"", mode=0o644, dir_mode=0o755, fsync=False) as staging:
            rendered = imaging.render(opened, plan, plan.names(), lambda each: staging.create(targets[each]))
            gathering.check(targets)  # sources may have come meanwhile
            staging.publish({})
    finally:
        os.close(output_fd)
    files = []
    for each in sorted(rendered.outputs, key=lambda output: list(targets).index(output.preset)):
        target = targets[each.preset]
        path = None if each.note == "kept" else to / os.fsdecode(target.area) / os.fsdecode(target.name)
        files.append(File(each.preset, path, each.width, each.height, each.bytes, each.note))
    return Renditions(source, rendered.format, rendered.width, rendered.height, tuple(files), rendered.notes)


def _presets(given: Iterable[Preset | str] | None) -> tuple[Preset, ...]:
    return tuple(_preset(each) for each in (BUILT_IN.values() if given is None else given))


def _preset(given: Preset | str) -> Preset:
    if isinstance(given, Preset):
        return given
    if given not in BUILT_IN:
        raise ValueError(f'unknown preset "{given}"; built in are {", ".join(BUILT_IN)}')
    return BUILT_IN[given]


class Batch:
    """Many files at once; made by `batch`. Complete when its block has ended."""

    def __init__(
        self,
        gathering: Gathering,
        work: Callable[[Path, Targets], Renditions],
        submit: Callable[..., Future[Renditions]],
    ) -> None:
        self._gathering = gathering
        self._work = work
        self._submit = submit
        self._lock = threading.Lock()
        self.results: list[Renditions] = []
        """What was made, in the order in which it ended."""
        self.errors: dict[Path, HotfolderError | OSError] = {}
        """What could not be made, and why."""

    def add(self, source: AnyPath, folder: AnyPath = "") -> None:
        """Have it rendered; returns at once. `folder` below `to`: for files whose names would meet.

        Where they do, the later one is in `errors` as ``name_taken``. Raises ValueError for a folder outside.
        """
        placed = Placed.below(source, folder)
        self._gathering.protect(placed.source)
        try:
            targets = self._gathering.claim(placed)
        except (SourceError, OSError) as error:
            with self._lock:
                self.errors[placed.source] = error
        else:
            self._submit(self._one, placed.source, targets)

    def _one(self, source: Path, targets: Targets) -> None:
        try:
            done = self._work(source, targets)
        except (SourceError, MissingExtra, OSError) as error:
            with self._lock:
                self.errors[source] = error
        else:
            with self._lock:
                self.results.append(done)


@contextmanager
def batch(
    to: AnyPath,
    *,
    presets: Iterable[Preset | str] | None = None,
    optimize: OptimizeSpec | None = None,
    limits: imaging.Limits | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Batch]:
    """Render many files in threads; the block ends when all are done.

    `progress(done, total)` is called after each, on a worker's thread. An exception in the block cancels what has not
    begun. The other arguments are those of `render`.

    >>> seen = []
    >>> with hotfolder.batch(out, presets=["small"], progress=lambda done, total: seen.append(done)) as batch:
    ...     for path in (photo, not_a_photo):
    ...         batch.add(path)
    >>> [each.source.name for each in batch.results], [error.reason.value for error in batch.errors.values()], seen
    (['photo.jpg'], ['not_an_image'], [1, 2])
    """
    chosen, known = _presets(presets), limits or imaging.Limits()
    plan, gathering = imaging.Plan(chosen, optimize), Gathering(Path(to), chosen, optimize)
    pool = ElasticPool(workers or max(2, round(sizing.usable_cpus())), name="hotfolder-batch")
    try:
        with pool.batch(progress) as tasks:
            yield Batch(
                gathering,
                lambda source, targets: _render(source, Path(to), plan, known, gathering, targets),
                tasks.submit,
            )
        for error in tasks.errors:  # what no image can cause: a bug
            raise error
    finally:
        pool.shutdown()


@dataclass(frozen=True, slots=True)
class Known:
    """A source as a daemon's index knows it; `state` is pending, done, failed or skipped."""

    watch: str
    path: Path
    state: str
    format: str
    width: int
    height: int
    files: tuple[File, ...]


def open_index(state: AnyPath) -> Index:
    """The index of a daemon, to read: `state` is the folder that the configuration calls so. The daemon may run.

    Raises OSError where there is none, HotfolderError where another version of hotfolder wrote it.

    >>> with hotfolder.open_index(state) as index:
    ...     for known in index.sources():
    ...         print(known.path.name, known.state, known.width, known.height, len(known.files))
    photo.jpg done 640 480 7
    """
    return Index(Path(state) / "index.db")


class Index:
    """Reads only. One instance belongs to one thread; each question is a short one, so that nothing is held up."""

    def __init__(self, file: Path) -> None:
        file.stat()
        self._connection = readonly.connect_for_long(str(file.resolve()))

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def sources(self, watch: str | None = None) -> Iterator[Known]:
        """All that is known, of one watch or of all, in pages: memory does not grow with it."""
        after = 0
        while page := catalog.page(self._connection, after, watch):
            after = page[-1].id
            for row in page:
                yield self._known(row)

    def find(self, path: AnyPath) -> Known | None:
        """One source by its absolute path; None where the index does not know it."""
        wanted = os.fsencode(os.path.abspath(path))
        for each in watches.known(self._connection):
            inside = os.fsencode(each.root).rstrip(b"/") + b"/"
            if not wanted.startswith(inside):
                continue
            folder, _, name = wanted[len(inside) :].rpartition(b"/")
            row = catalog.find(self._connection, each.id, folder, name)
            if row is not None:
                return self._known(row)
        return None

    def _known(self, row: catalog.Source) -> Known:
        folder = folders.path_of(self._connection, row.folder_id)
        files = []
        for made in renditions.of(self._connection, row.id):
            if made.present:
                below = os.fsdecode(rendition_path(folder, made.area, made.name))
                path = None if made.note == "kept" else Path(row.output) / below
                files.append(File(made.preset, path, made.width, made.height, made.bytes, made.note))
        source = Path(row.root) / os.fsdecode(folder) / os.fsdecode(row.name)
        return Known(row.watch, source, row.state.name.lower(), row.format, row.width, row.height, tuple(files))
