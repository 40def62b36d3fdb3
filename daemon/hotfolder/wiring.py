"""From a configuration to what the workers and watchers need: sites, rules, folders that have to be there."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from hotfolder import faults, imaging, mounts, probe
from hotfolder.config import Config, Watch
from hotfolder.errors import Reason, StartError
from hotfolder.index import sources, watches
from hotfolder.index.database import Database
from hotfolder.index.outbox import Subscriber
from hotfolder.model import State
from hotfolder.presets import Preset
from hotfolder.store import outputs
from hotfolder.store.outputs import Habits
from hotfolder.watcher.rules import Rules
from hotfolder.watches.site import Site


def check_folders(watches: Collection[Watch]) -> None:
    """Make what may be made. Raises StartError where a root is missing or an output holds files of others.

    What else goes wrong is one watch's trouble, at start as later: it is found again, told and waited for by its own
    thread (see watcher/rounds.py). So is a folder that does not answer.
    """
    probe.ask_all({watch.path: partial(_check_root, watch) for watch in watches})
    probe.ask_all({watch.output: partial(_check_output, watch) for watch in watches})


def _check_output(watch: Watch) -> None:
    with contextlib.suppress(OSError):
        outputs.prepare(watch.output, watch.files.dir_mode, Habits())


def _check_root(watch: Watch) -> None:
    try:
        missing = not stat.S_ISDIR(os.stat(watch.path).st_mode)
        if missing and not watch.create:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    except (FileNotFoundError, NotADirectoryError) as error:
        if not watch.create:
            text = f"watch {watch.name}: {watch.path} is missing; make it, or set `create: true`"
            raise StartError(text) from error
        missing = True
    except OSError:
        return  # it is there, and does not answer well: a root that is away
    if missing:
        try:
            os.makedirs(watch.path, exist_ok=True)
        except OSError as error:
            if error.errno not in faults.AWAY:
                raise StartError(f"watch {watch.name}: {watch.path}: {os.strerror(error.errno or 0)}") from error


@dataclass(frozen=True)
class Wanted:
    """What a configuration wants of one watch. Two that are equal: nothing that the watch does has changed."""

    watch: Watch
    presets: tuple[Preset, ...]
    not_below: tuple[bytes, ...]
    """Folders below the root that are left to others."""


def wanted(config: Config, watch: Watch) -> Wanted:
    presets = config.all_presets()
    return Wanted(watch, tuple(presets[name] for name in watch.presets), _not_below(config, watch))


def site_of(config: Config, watch: Watch, index: Database) -> Site:
    """The watch as the workers see it; its row is made or brought up to date."""
    return _site(config, watch, index.write(lambda c: watches.settle(c, watch.name, watch.path, watch.output)).result())


def known_site(config: Config, watch: Watch, index: Database) -> Site:
    """The watch as the index knows it, for questions; one that it does not know has the id 0, and no sources."""
    row = index.read().execute("SELECT id FROM watch WHERE name = ?", (watch.name,)).fetchone()
    return _site(config, watch, row[0] if row else 0)


def _site(config: Config, watch: Watch, id_: int) -> Site:
    presets = config.all_presets()
    return Site(
        name=watch.name,
        id=id_,
        root=watch.path,
        output=watch.output,
        presets=tuple(presets[name] for name in watch.presets),
        optimize=watch.optimize.spec,
        analyze=watch.analyze.spec,
        mode=watch.files.mode,
        dir_mode=watch.files.dir_mode,
        source_times=watch.files.mtime == "source",
        keep_deleted=watch.on_delete == "keep",
        habits=Habits(),
        hooks=subscribers(config, watch),
        network=mounts.is_remote(watch.path) or mounts.is_remote(watch.output),
    )


def subscribers(config: Config, watch: Watch) -> tuple[Subscriber, ...]:
    """The hooks that are told of this watch."""
    return tuple(
        Subscriber(hook.name, frozenset(hook.events))
        for hook in config.hooks
        if not hook.watches or watch.name in hook.watches
    )


def rules_of(config: Config, watch: Watch) -> Rules:
    return Rules(
        watch.path,
        recursive=watch.recursive,
        include=watch.include,
        exclude=watch.exclude,
        ignore_files=watch.ignore_files,
        not_below=lambda: _not_below(config, watch),
    )


def _not_below(config: Config, watch: Watch) -> tuple[bytes, ...]:
    """Folders below the root that belong to outputs, to other watches or to the state are left to those."""
    others = [each.path for each in config.watches if each is not watch]
    places = [watch.output, config.state, *others, *(each.output for each in config.watches)]
    root = probe.real_path(watch.path)
    inside = {os.path.relpath(probe.real_path(place), root) for place in places}
    return tuple(os.fsencode(each) for each in sorted(inside) if each != "." and not each.startswith(".."))


def retry(connection: sqlite3.Connection, former: Config | None, config: Config) -> None:
    """What another decoder, more memory or another configuration may be able to show is tried again.

    `former`: the configuration before, or None at the start.
    """
    retry_decoders(connection)
    reasons = set() if former is not None and former.pool == config.pool else {Reason.TOO_MUCH_MEMORY}
    bounds = (config.limits.max_pixels, config.limits.max_bytes, config.pool.job_timeout)
    if _noted(connection, "bounds", repr(bounds)):
        reasons |= {Reason.TOO_MANY_PIXELS, Reason.TOO_MANY_BYTES, Reason.TIMEOUT}
    _retry_reasons(connection, reasons)
    if config.limits.truncated == "allow":
        retry_truncated(connection)
    if former is not None and former.limits.min_free != config.limits.min_free:
        for (watch_id,) in connection.execute("SELECT id FROM watch").fetchall():
            sources.release(connection, watch_id)


def _noted(connection: sqlite3.Connection, key: str, value: str) -> bool:
    """Whether this is another value than the one noted before; notes it."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))
    return row is not None and row[0] != value


def _retry_reasons(connection: sqlite3.Connection, reasons: Collection[Reason]) -> None:
    """What was refused for one of these is tried again: the bound that it met is another now."""
    marks = ", ".join("?" * len(reasons))
    for (source_id,) in connection.execute(
        f"SELECT source_id FROM failure WHERE reason IN ({marks})", tuple(reasons)
    ).fetchall():
        sources.retry(connection, source_id, 0.0, 0)


def retry_decoders(connection: sqlite3.Connection) -> None:
    """What another version of a decoder refused, or lacked its extra, is tried again; nothing else is."""
    for decoder in imaging.decoders():
        name = decoder.rpartition(" ")[0]
        query = "SELECT source_id FROM failure WHERE decoder LIKE ? AND decoder NOT IN (?, ?)"
        for (source_id,) in connection.execute(query, (f"{name} %", decoder, decoder + imaging.LENIENT)).fetchall():
            sources.retry(connection, source_id, 0.0, 0)
    for extra in imaging.installed_extras():
        query = "UPDATE source SET state = ? WHERE state = ? AND extra = ?"
        connection.execute(query, (State.PENDING, State.SKIPPED, extra))


def retry_truncated(connection: sqlite3.Connection) -> None:
    """`limits.truncated` allows now what was refused: it is tried once more, and shown as far as it goes."""
    query = "SELECT source_id FROM failure WHERE reason IN (?, ?) AND decoder NOT LIKE ?"
    wanted = (Reason.TRUNCATED, Reason.DAMAGED, f"%{imaging.LENIENT}")
    for (source_id,) in connection.execute(query, wanted).fetchall():
        sources.retry(connection, source_id, 0.0, 0)
