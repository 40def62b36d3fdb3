"""The modules of the tables: every field comes back under its own name, and queries find what they are named after."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import hotfolder
from hotfolder.errors import HotfolderError, Reason
from hotfolder.index import backlog, deletions, failures, folders, meta, renditions, schema, sources, suspects, watches
from hotfolder.index.failures import Failure
from hotfolder.index.renditions import Made
from hotfolder.index.rows import Columns
from hotfolder.index.sources import Facts
from hotfolder.model import State, Version

VERSION = Version(10, 1 << 70, 30, 40, b"h" * 16, "volume")
FACTS = Facts("decoder 1", "jpeg", 640, 480, "truncated", "heif")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    schema.migrate(connection)
    watches.settle(connection, "w", "/r", "/o")
    yield connection
    connection.close()


def put(connection: sqlite3.Connection, name: bytes, state: State = State.DONE) -> int:
    folder_id = folders.ensure(connection, 1, b"", folds=False)
    source_id = sources.ensure(connection, 1, folder_id, name, 0.0)
    sources.settle(connection, source_id, VERSION, state, "want", FACTS, 1.0)
    return source_id


def test_columns_and_fields_have_one_order(connection: sqlite3.Connection) -> None:
    @dataclass
    class Known:
        key: str
        twice: int
        flag: bool

    columns = Columns(Known, table="m", origins={"twice": "2 * 21", "flag": "1"}, converters={"flag": bool})
    assert columns.sql == "m.key, 2 * 21, 1"
    meta.put(connection, {"k": "v"})
    rows = columns.rows(connection.execute(f"SELECT {columns.sql} FROM meta m").fetchall())
    assert rows == [Known("k", 42, True)]
    assert rows[0].flag is True
    with pytest.raises(ValueError, match="shorter"):
        columns.row(("k", 42))


def test_every_field_comes_back_as_it_was_put(connection: sqlite3.Connection) -> None:
    source_id = put(connection, b"a.jpg")
    assert sources.facts(connection, source_id) == FACTS
    assert sources.version(connection, source_id) == VERSION
    row = sources.find(connection, 1, b"a.jpg")
    assert row is not None
    assert (row.id, row.folder_id, row.name) == (source_id, sources.folder_of(connection, source_id), b"a.jpg")
    assert (row.version, row.state, row.made, row.tries) == (VERSION, State.DONE, "want", 0)
    assert (row.young, row.gone, row.extra) == (False, 0, "heif")
    made = [
        Made("a", 1, 2, 3, "", "s1", "{1}", b"thumbnails", b"a_s", 1 << 70, True, True),
        Made("b", 4, 5, 6, "larger", "s2", "{2}", b"elsewhere", b"b_s", 7, True, False),
    ]
    for each in reversed(made):
        renditions.put(connection, source_id, row.folder_id, each.name, each, 0)
    assert renditions.of(connection, source_id) == made
    renditions.drop_all(connection, source_id)
    assert renditions.of(connection, source_id) == []


def test_failures_are_found_by_reason_and_decoder(connection: sqlite3.Connection) -> None:
    def fail(name: bytes, reason: Reason, decoder: str) -> int:
        source_id = put(connection, name, State.FAILED)
        failures.put(connection, source_id, reason, "why", decoder, 1, 5.0)
        return source_id

    damaged = fail(b"a", Reason.DAMAGED, "heif 1")
    current = fail(b"b", Reason.TRUNCATED, "heif 2")
    lenient = fail(b"c", Reason.TRUNCATED, "heif 2 lenient")
    assert failures.with_reasons(connection, []) == []
    assert failures.with_reasons(connection, [Reason.TRUNCATED, Reason.TIMEOUT]) == [current, lenient]
    assert failures.of_former_decoders(connection, "heif", ["heif 2", "heif 2 lenient"]) == [damaged]
    assert failures.of_strict_decoders(connection, [Reason.DAMAGED, Reason.TRUNCATED], " lenient") == [damaged, current]
    failures.put(connection, damaged, Reason.TIMEOUT, "again", "heif 2", 2, 6.0)
    assert failures.of(connection, damaged) == Failure("timeout", "again", "heif 2", 2, 5.0, 6.0)


def test_a_source_that_is_not_found_waits_no_longer(connection: sqlite3.Connection) -> None:
    missed, unseen = put(connection, b"a"), put(connection, b"b")
    for each in (missed, unseen):
        backlog.retry(connection, each, 50.0, 3)
        assert backlog.waits(connection, each)
    assert backlog.any_due(connection, 1, 50.0)
    assert not backlog.any_due(connection, 1, 49.0)
    deletions.missed(connection, missed)
    deletions.unseen(connection, unseen)
    assert not backlog.any_due(connection, 1, 50.0)
    assert [row.id for row in deletions.gone(connection, 1, 0, 10)] == [missed]
    assert deletions.uncertain(connection, 1) == 1
    deletions.mark_gone(connection, [missed], deletions.Mark.CERTAIN)
    assert deletions.uncertain(connection, 1) == 0


def test_notes_by_key(connection: sqlite3.Connection) -> None:
    assert meta.get(connection, "bounds") is None
    assert not meta.replace(connection, "bounds", "1")
    assert not meta.replace(connection, "bounds", "1")
    assert meta.replace(connection, "bounds", "2")
    meta.put(connection, {"a:1": "x", "a:2": 5, "b:1": "y"})
    assert meta.starting(connection, "a:") == {"1": "x", "2": "5"}
    assert meta.paused(connection) == []
    meta.put_paused(connection, [("fresh", "w"), ("backlog", None)])
    meta.rename_paused(connection, {"w": "v"})
    assert meta.paused(connection) == [("fresh", "v"), ("backlog", None)]


def test_suspects_and_mounts_are_kept(connection: sqlite3.Connection) -> None:
    suspects.add(connection, [(1, b"a"), (1, b"b")], 0.0)
    suspects.add(connection, [(1, b"a")], 1.0)
    suspects.remove(connection, (1, b"b"))
    assert suspects.keys(connection) == {(1, b"a")}
    assert watches.mount(connection, 1) is None
    watches.put_mount(connection, 1, "disk")
    assert watches.mount(connection, 1) == "disk"
    assert not watches.has_moved(connection, 1)
    assert watches.id_of(connection, "w") == 1
    assert watches.id_of(connection, "v") is None
    assert watches.mount(connection, 2) is None


def test_an_index_of_another_version_is_not_read(tmp_path: object) -> None:
    with sqlite3.connect(f"{tmp_path}/index.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(HotfolderError, match="has version 99, this hotfolder reads"):
        hotfolder.open_index(str(tmp_path))
