"""From a configuration to what the workers and watchers need: sites, rules, folders that have to be there."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Iterable

from hotfolder import faults, imaging, mounts
from hotfolder.config import Config, Watch
from hotfolder.errors import Reason, StartError
from hotfolder.keeping import outputs, sources
from hotfolder.keeping.database import Database
from hotfolder.keeping.outbox import Subscriber
from hotfolder.keeping.outputs import Habits
from hotfolder.model import State
from hotfolder.watching.rules import Rules
from hotfolder.working.site import Site


def check_folders(watches: Iterable[Watch]) -> dict[str, Habits]:
    """Make what may be made; gives the habits of each watch's output, by the watch's name. Raises StartError where a
    root is missing or an output holds files of others.

    What else goes wrong is one watch's trouble, at start as later: it is found again, told and waited for by its own
    thread (see watching/rounds.py).
    """
    found = {}
    for watch in watches:
        _check_root(watch)
        habits = found[watch.name] = Habits()
        with contextlib.suppress(OSError):
            outputs.prepare(watch.output, watch.files.dir_mode, habits)
    return found


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


def site_of(config: Config, watch: Watch, index: Database, habits: Habits) -> Site:
    """The watch as the workers see it; its row is made or brought up to date."""
    return _site(config, watch, index.write(lambda c: _watch_id(c, watch)).result(), habits)


def known_site(config: Config, watch: Watch, index: Database) -> Site:
    """The watch as the index knows it, for questions; one that it does not know has the id 0, and no sources."""
    row = index.read().execute("SELECT id FROM watch WHERE name = ?", (watch.name,)).fetchone()
    return _site(config, watch, row[0] if row else 0, Habits())


def _site(config: Config, watch: Watch, id_: int, habits: Habits) -> Site:
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
        habits=habits,
        hooks=tuple(
            Subscriber(hook.name, frozenset(hook.events))
            for hook in config.hooks
            if not hook.watches or watch.name in hook.watches
        ),
        network=mounts.is_remote(watch.path) or mounts.is_remote(watch.output),
    )


def rules_of(config: Config, watch: Watch) -> Rules:
    """Folders below the root that belong to outputs, to other watches or to the state are left to those."""
    others = [each.path for each in config.watches if each is not watch]
    places = [watch.output, config.state, *others, *(each.output for each in config.watches)]
    root = os.path.realpath(watch.path)
    inside = [os.path.relpath(os.path.realpath(place), root) for place in places]
    return Rules(
        watch.path,
        recursive=watch.recursive,
        include=watch.include,
        exclude=watch.exclude,
        ignore_files=watch.ignore_files,
        not_below=[os.fsencode(each) for each in inside if each != "." and not each.startswith("..")],
    )


def _watch_id(connection: sqlite3.Connection, watch: Watch) -> int:
    """The watch's row. Another root is another tree; another output has none of the renditions yet."""
    row = connection.execute("SELECT id, root, output FROM watch WHERE name = ?", (watch.name,)).fetchone()
    if row is None:
        query = "INSERT INTO watch (name, root, output) VALUES (?, ?, ?)"
        return int(connection.execute(query, (watch.name, watch.path, watch.output)).lastrowid or 0)
    watch_id, root, output = row
    if root != watch.path:
        connection.execute("UPDATE watch SET root = ?, mount = NULL WHERE id = ?", (watch.path, watch_id))
    if output != watch.output:
        connection.execute("UPDATE watch SET output = ? WHERE id = ?", (watch.output, watch_id))
        below = "SELECT id FROM source WHERE watch_id = ?"
        connection.execute(f"UPDATE rendition SET present = 0 WHERE source_id IN ({below})", (watch_id,))
        connection.execute("UPDATE source SET made = '' WHERE watch_id = ?", (watch_id,))
    return int(watch_id)


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


def retry_too_large(connection: sqlite3.Connection) -> None:
    """What did not fit into the memory that there was: there may be more now. Only its header is read again."""
    query = "SELECT source_id FROM failure WHERE reason = ?"
    for (source_id,) in connection.execute(query, (Reason.TOO_MUCH_MEMORY,)).fetchall():
        sources.retry(connection, source_id, 0.0, 0)
