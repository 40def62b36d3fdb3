"""From a configuration to what the workers and watchers need: sites, rules, folders that have to be there."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial

from hotfolder import faults, imaging, mounts, probe
from hotfolder.config import Config, Watch
from hotfolder.errors import Reason, StartError
from hotfolder.index import areas, backlog, failures, meta, watches
from hotfolder.index.database import Database
from hotfolder.index.outbox import Subscriber
from hotfolder.presets import Preset
from hotfolder.store import layouts, outputs
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
        outputs.prepare(watch.output, layouts.of(watch.layout), watch.files.dir_mode, Habits())


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

    def settle(connection: sqlite3.Connection) -> int:
        for area in layouts.of(watch.layout).areas:  # before the first file: after a crash they are looked into
            areas.ensure(connection, area)
        return watches.settle(connection, watch.name, watch.path, watch.output)

    return _site(config, watch, index.write(settle).result())


def known_site(config: Config, watch: Watch, index: Database) -> Site:
    """The watch as the index knows it, for queries; one that it does not know has the id 0, and no sources."""
    return _site(config, watch, watches.id_of(index.read(), watch.name) or 0)


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
        layout=layouts.of(watch.layout),
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
    if meta.replace(connection, "bounds", repr(bounds)):
        reasons |= {Reason.TOO_MANY_PIXELS, Reason.TOO_MANY_BYTES, Reason.TIMEOUT}
    _retry_all(connection, failures.with_reasons(connection, reasons))
    if config.limits.truncated == "allow":
        retry_truncated(connection)
    if former is not None and former.limits.min_free != config.limits.min_free:
        for each in watches.known(connection):
            backlog.release(connection, each.id)


def _retry_all(connection: sqlite3.Connection, source_ids: Iterable[int]) -> None:
    for source_id in source_ids:
        backlog.retry(connection, source_id, 0.0, 0)


def retry_decoders(connection: sqlite3.Connection) -> None:
    """What another version of a decoder refused, or lacked its extra, is tried again; nothing else is."""
    for decoder in imaging.decoders():
        name = decoder.rpartition(" ")[0]
        current = (decoder, decoder + imaging.LENIENT)
        _retry_all(connection, failures.of_former_decoders(connection, name, current))
    for extra in imaging.installed_extras():
        backlog.retry_skipped(connection, extra)


def retry_truncated(connection: sqlite3.Connection) -> None:
    """`limits.truncated` allows now what was refused: it is tried once more, and shown as far as it goes."""
    reasons = (Reason.TRUNCATED, Reason.DAMAGED)
    _retry_all(connection, failures.of_strict_decoders(connection, reasons, imaging.LENIENT))
