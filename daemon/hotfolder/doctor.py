"""What on this machine may keep hotfolder from working well, each finding with its remedy. Changes nothing.

A root is touched on a thread of its own, so that one that does not answer is a finding and not a command that hangs.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from hotfolder import imaging, mounts, probe, wiring
from hotfolder.config import Config, Watch
from hotfolder.errors import StartError
from hotfolder.imaging import formats
from hotfolder.index import watches
from hotfolder.index.database import Database
from hotfolder.pool import sizing
from hotfolder.store import lock
from hotfolder.watcher import events
from hotfolder.watches import recognition

ANSWER_SECONDS = 10.0
COUNT_SECONDS = 5.0
"""Folders are counted this long at most."""
QUEUE_LEAST = 16_384
FILES_LEAST = 1_024
COPY_BYTES = 12
"""Bytes a pixel that a photo and its full-size JPEG copy take (imaging/memory.py)."""


class Level(StrEnum):
    """`problem`: something will not work; `advice`: it works, but not as well as it could."""

    OK = "ok"
    ADVICE = "advice"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One subject, how it is, and what to do where that is not well."""

    subject: str
    level: Level
    text: str
    remedy: str = ""


def examine(config: Config) -> Iterator[Finding]:
    """Everything, one finding after the other."""
    yield from _codecs()
    yield _memory(config)
    yield _open_files()
    yield _state(config)
    yield from _recognised(config)
    folders = 0
    for watch in config.watches:
        try:
            findings, count = probe.ask(watch.path, partial(_root, config, watch), ANSWER_SECONDS)
        except probe.Silent as silent:
            findings, count = [_silent(f"watch {watch.name}", silent)], 0
        folders += count
        yield from findings
        subject = f"output of {watch.name}"
        try:
            yield probe.ask(watch.output, partial(_output, subject, config, watch), ANSWER_SECONDS)
        except probe.Silent as silent:
            yield _silent(subject, silent)
    yield from _kernel(folders, len(config.watches))


def _silent(subject: str, silent: probe.Silent) -> Finding:
    remedy = "see to its mount; hotfolder goes on with the other watches and looks for it again and again"
    return Finding(subject, Level.PROBLEM, str(silent), remedy)


# -- the machine -------------------------------------------------------------------------------------------------------


def _codecs() -> Iterator[Finding]:
    for extra in formats.extras():
        name, what = extra.name, extra.title
        if name in imaging.installed_extras():
            yield Finding(f"codec {name}", Level.OK, f"{what} can be read")
        else:
            remedy = f"pip install 'hotfolder[{name}]', if you have such images"
            yield Finding(f"codec {name}", Level.ADVICE, f"{what} cannot be read: those images are skipped", remedy)
    yield Finding("codecs", Level.OK, ", ".join(imaging.decoders()))
    if library := imaging.native.library():
        yield Finding("jpeg core", Level.OK, f"the compiled core is there, by {library}")
    else:
        remedy = "apt install gcc libjpeg-dev python3-dev, and install hotfolder again: JPEGs take half of the time"
        yield Finding("jpeg core", Level.ADVICE, "the compiled core was not built: Pillow alone makes JPEGs", remedy)


def _memory(config: Config) -> Finding:
    available = sizing.available_memory()
    limit = config.pool.memory_limit
    if limit == "auto":
        limit = sizing.auto_memory()
    text = f"pool.memory_limit is {limit // 1_000_000} MB, of {available // 1_000_000} MB that are free"
    if limit > available:
        return Finding("memory", Level.PROBLEM, text, "lower pool.memory_limit, or leave it at auto")
    own = sizing.own_memory(sizing.bounds(config.pool.workers, limit).high)
    largest = min((limit - own) // COPY_BYTES, config.limits.max_pixels) // 1_000_000
    text += f": photos of up to about {largest} MP get an optimized copy"
    if largest < 50:
        return Finding("memory", Level.ADVICE, text, "free memory or raise pool.memory_limit, if yours are larger")
    return Finding("memory", Level.OK, text)


def _open_files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < FILES_LEAST:
        remedy = "set LimitNOFILE=65536 of the service, or `ulimit -Hn`"
        return Finding("open files", Level.ADVICE, f"at most {hard} files can be open", remedy)
    return Finding("open files", Level.OK, "enough files can be open")


def _kernel(folders: int, watches: int) -> Iterator[Finding]:
    """The limits of inotify(7); 0 where the system has none of it."""
    for name, need, key in (
        ("max_user_watches", folders, "a watch for each folder"),
        ("max_user_instances", watches, "an instance for each root"),
        ("max_queued_events", QUEUE_LEAST, "room for bursts of events"),
    ):
        most = events.limit(name)
        if not most:
            text = "this system has no inotify: everything is polled"
            yield Finding("inotify", Level.ADVICE, text, "lower poll_interval, if changes shall be seen sooner")
            return
        text = f"fs.inotify.{name} is {most}; needed are {need}: {key}"
        if most < need:
            raised = f"sysctl fs.inotify.{name}={max(2 * need, most)}, and for good in /etc/sysctl.d/hotfolder.conf"
            yield Finding(f"inotify {name}", Level.PROBLEM, text, raised)
        else:
            yield Finding(f"inotify {name}", Level.OK, text)


# -- folders -----------------------------------------------------------------------------------------------------------


def _root(config: Config, watch: Watch) -> tuple[list[Finding], int]:
    subject = f"watch {watch.name}"
    if not os.path.isdir(watch.path):
        if watch.create:
            return [Finding(subject, Level.OK, f"{watch.path} is missing; it is made at the start")], 1
        remedy = "make or mount it, or set `create: true`"
        return [Finding(subject, Level.PROBLEM, f"{watch.path} is missing", remedy)], 0
    if not os.access(watch.path, os.R_OK | os.X_OK):
        remedy = f"chmod or chown it, so that user {os.getuid()} may read and enter it"
        return [Finding(subject, Level.PROBLEM, f"{watch.path} cannot be read", remedy)], 0
    return [_file_system(subject, watch), *_unreadable(config, watch)], _count(config, watch)


def _file_system(subject: str, watch: Watch) -> Finding:
    mount = mounts.of(os.fsencode(os.path.realpath(watch.path)), mounts.read())
    kind = mount.fstype if mount else "unknown"
    backend = mounts.backend_for(kind) if watch.backend == "auto" else watch.backend
    text = f"{watch.path} lies on {kind}: {backend}"
    if backend == "inotify" and mounts.backend_for(kind) != "inotify":
        remedy = "leave `backend` at auto: changes from the other side raise no events here"
        return Finding(subject, Level.PROBLEM, text, remedy)
    if backend == "polling":
        remedy = (
            f"changes are seen within {watch.poll_interval:g} s or more; run hotfolder where the disk is, if you can"
        )
        return Finding(subject, Level.ADVICE, text, remedy)
    return Finding(subject, Level.OK, text)


def _unreadable(config: Config, watch: Watch) -> Iterator[Finding]:
    closed = [folder for folder, readable in _folders(config, watch) if not readable]
    if closed:
        text = f"{len(closed)} folders cannot be read, the first is {os.fsdecode(closed[0])!r}"
        yield Finding(f"watch {watch.name}", Level.ADVICE, text, "chmod or chown them, or name them in `exclude`")


def _count(config: Config, watch: Watch) -> int:
    return sum(1 for _ in _folders(config, watch))


def _folders(config: Config, watch: Watch) -> Iterator[tuple[bytes, bool]]:
    """Folders that would be watched, as far as they are found in time, and whether they can be read."""
    rules = wiring.rules_of(config, watch)
    ends = time.monotonic() + COUNT_SECONDS
    waiting = [b""]
    while waiting and time.monotonic() < ends:
        folder = waiting.pop()
        path = os.path.join(os.fsencode(watch.path), folder)
        try:
            with os.scandir(path) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            yield folder, False
            continue
        yield folder, True
        below = (folder + b"/" + name if folder else name for name in names)
        waiting += [each for each in below if rules.enters(each)]


def _output(subject: str, config: Config, watch: Watch) -> Finding:
    try:
        place = _nearest(watch.output)
        with tempfile.TemporaryFile(dir=place, prefix=".hotfolder-"):
            pass
        free = shutil.disk_usage(place).free
    except OSError as error:
        remedy = f"make it a folder where user {os.getuid()} may write"
        return Finding(subject, Level.PROBLEM, f"{watch.output}: {os.strerror(error.errno or 0)}", remedy)
    text = f"{watch.output} can be written; {free // 1_000_000} MB are free"
    if free < config.limits.min_free:
        return Finding(subject, Level.PROBLEM, text, "free some space, or lower limits.min_free")
    if free < 10 * config.limits.min_free:
        return Finding(subject, Level.ADVICE, text, "free some space before it runs out")
    return Finding(subject, Level.OK, text)


def _state(config: Config) -> Finding:
    try:
        place = _nearest(config.state)
        if os.path.isdir(config.state):
            lock.make_state(config.state)
        with tempfile.TemporaryFile(dir=place, prefix=".hotfolder-"):
            pass
    except (StartError, OSError) as error:
        return Finding("state", Level.PROBLEM, str(error), "put `state` into a folder of your own on a local disk")
    mount = mounts.of(os.fsencode(os.path.realpath(place)), mounts.read())
    if mount is not None and mount.fstype in mounts.NETWORK:
        text = f"{config.state} lies on {mount.fstype}: an index cannot be kept there"
        return Finding("state", Level.PROBLEM, text, "put `state` on a local disk")
    return Finding("state", Level.OK, f"{config.state} can be written")


def _recognised(config: Config) -> Iterator[Finding]:
    """Watches that the index knows by another name or at another place."""
    file = os.path.join(config.state, "index.db")
    if not os.path.exists(file):
        return
    index = Database(file)
    try:
        found = recognition.find(index, config)
        names = {match.known.id: match.watch.name for match in found}
        for match in found:
            if match.differs:
                was = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in recognition.told(match))
                text = f"recognised at the next start or reload; {was}: what lies there is kept"
                yield Finding(f"watch {match.watch.name}", Level.OK, text)
        for former, at in watches.notes(index.read()):
            if former.id in names:
                day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
                text = f"recognised on {day}: it was {former.name}, {former.root} → {former.output}"
                yield Finding(f"watch {names[former.id]}", Level.OK, text)
    except sqlite3.Error as error:
        remedy = "stop hotfolder and start it again: a damaged index is set aside and made anew"
        yield Finding("index", Level.PROBLEM, f"{file}: {error}", remedy)
    finally:
        index.close()


def _nearest(path: str) -> str:
    """The path, or the nearest folder above it that is there. Raises NotADirectoryError where a file is in the way."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return path
