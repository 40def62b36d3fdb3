"""The tables of the index, and how an older file is brought up to them. Each version is one script, run once.

A renamed folder is one row: sources hang on folders by id, and renditions lie where their source's folder is.
Names are BLOBs, compared byte by byte, which is the order in which reconcile lists a folder.
"""

from __future__ import annotations

import sqlite3

from hotfolder.errors import StartError

VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE watch (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, root TEXT NOT NULL, output TEXT NOT NULL,
    mount TEXT,                       -- identity of the root's mount; a walk of another one deletes nothing
    reconciled_at REAL                -- end of the last whole reconcile, seconds since 1970
);

-- AUTOINCREMENT: an id is never given twice, since renditions remember the folder that they lie in.
CREATE TABLE folder (
    id INTEGER PRIMARY KEY AUTOINCREMENT, watch_id INTEGER NOT NULL REFERENCES watch, parent_id INTEGER NOT NULL,
    name BLOB NOT NULL, inode INTEGER NOT NULL DEFAULT 0,
    mount TEXT,                       -- set where another file system is mounted on this folder
    place INTEGER NOT NULL DEFAULT 0, -- on outputs that ignore case: the folder that shares its output; else 0
    UNIQUE (watch_id, parent_id, name)
);
CREATE INDEX folder_inode ON folder (watch_id, inode);

CREATE TABLE plan (id INTEGER PRIMARY KEY, spec TEXT NOT NULL UNIQUE);

-- size … hash are of the version that state speaks of; a waiting row keeps those of the version that was last made.
CREATE TABLE source (
    id INTEGER PRIMARY KEY AUTOINCREMENT, watch_id INTEGER NOT NULL REFERENCES watch,
    folder_id INTEGER NOT NULL REFERENCES folder, name BLOB NOT NULL,
    size INTEGER NOT NULL DEFAULT -1, mtime_ns INTEGER NOT NULL DEFAULT 0, inode INTEGER NOT NULL DEFAULT 0,
    ctime_ns INTEGER NOT NULL DEFAULT 0, hash BLOB,
    state INTEGER NOT NULL,           -- model.State
    made TEXT NOT NULL DEFAULT '',    -- what was wanted when it became done; equal to the watch's: complete
    format TEXT NOT NULL DEFAULT '', width INTEGER NOT NULL DEFAULT 0, height INTEGER NOT NULL DEFAULT 0,
    decoder TEXT NOT NULL DEFAULT '', extra TEXT NOT NULL DEFAULT '',
    retry_at REAL NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, young INTEGER NOT NULL DEFAULT 0,
    gone INTEGER NOT NULL DEFAULT 0,  -- how many whole reconciles in a row did not find it
    seen_at REAL NOT NULL DEFAULT 0, done_at REAL NOT NULL DEFAULT 0,
    UNIQUE (folder_id, name)
);
CREATE INDEX source_waiting ON source (retry_at, id) WHERE state = 0;
CREATE INDEX source_gone ON source (watch_id, gone) WHERE gone > 0;
CREATE INDEX source_hash ON source (watch_id, hash) WHERE hash IS NOT NULL;

CREATE TABLE rendition (
    source_id INTEGER NOT NULL REFERENCES source ON DELETE CASCADE, preset TEXT NOT NULL,
    signature TEXT NOT NULL, plan_id INTEGER NOT NULL REFERENCES plan,
    area INTEGER NOT NULL,            -- 0 thumbnails, 1 optimized
    place INTEGER NOT NULL, name BLOB NOT NULL, name_key BLOB NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    present INTEGER NOT NULL DEFAULT 1, epoch INTEGER NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (source_id, preset)
) WITHOUT ROWID;
CREATE UNIQUE INDEX rendition_path ON rendition (place, area, name_key) WHERE note <> 'kept';

CREATE TABLE failure (
    source_id INTEGER PRIMARY KEY REFERENCES source ON DELETE CASCADE, reason TEXT NOT NULL, message TEXT NOT NULL,
    decoder TEXT NOT NULL, tries INTEGER NOT NULL, first_at REAL NOT NULL, last_at REAL NOT NULL
);
CREATE TABLE analysis (
    source_id INTEGER PRIMARY KEY REFERENCES source ON DELETE CASCADE, record TEXT NOT NULL
);
CREATE TABLE orders (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, spec TEXT NOT NULL, total INTEGER NOT NULL,
    created_at REAL NOT NULL, started_at REAL, finished_at REAL
) WITHOUT ROWID;
CREATE TABLE order_item (
    order_id TEXT NOT NULL REFERENCES orders ON DELETE CASCADE, n INTEGER NOT NULL, watch_id INTEGER NOT NULL,
    path BLOB NOT NULL, state TEXT NOT NULL, result TEXT NOT NULL DEFAULT '', PRIMARY KEY (order_id, n)
) WITHOUT ROWID;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, hook TEXT NOT NULL, event TEXT NOT NULL, body TEXT NOT NULL,
    state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL DEFAULT 0, created_at REAL NOT NULL
);
CREATE TABLE suspect (
    watch_id INTEGER NOT NULL, path BLOB NOT NULL, noted_at REAL NOT NULL, PRIMARY KEY (watch_id, path)
) WITHOUT ROWID;

-- Counts that status, metrics and the feeder ask for all the time.
CREATE TABLE tally (watch_id INTEGER NOT NULL, state INTEGER NOT NULL, n INTEGER NOT NULL,
                    PRIMARY KEY (watch_id, state)) WITHOUT ROWID;
CREATE TRIGGER source_added AFTER INSERT ON source BEGIN
    INSERT INTO tally VALUES (NEW.watch_id, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER source_removed AFTER DELETE ON source BEGIN
    UPDATE tally SET n = n - 1 WHERE watch_id = OLD.watch_id AND state = OLD.state;
END;
CREATE TRIGGER source_turned AFTER UPDATE OF state ON source WHEN OLD.state <> NEW.state BEGIN
    UPDATE tally SET n = n - 1 WHERE watch_id = OLD.watch_id AND state = OLD.state;
    INSERT INTO tally VALUES (NEW.watch_id, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
"""

VERSION_2 = """
DROP INDEX source_waiting;
CREATE INDEX source_waiting ON source (watch_id, retry_at, id) WHERE state = 0;
"""

VERSION_3 = """
CREATE INDEX source_newest ON source (done_at, id);
CREATE INDEX source_newest_of ON source (watch_id, done_at, id);
CREATE INDEX source_unmade ON source (done_at, id) WHERE state <> 1;
-- Folders below an output in which renditions lie; an order may name others than the two.
CREATE TABLE area (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE);
INSERT INTO area VALUES (0, CAST('thumbnails' AS BLOB)), (1, CAST('optimized' AS BLOB));
-- 1: made for an order, not wanted by the watch; stays until its source changes.
ALTER TABLE rendition ADD COLUMN ordered INTEGER NOT NULL DEFAULT 0;

DROP TABLE order_item;
DROP TABLE orders;
CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,       -- key: the id that callers know
    kind TEXT NOT NULL, state TEXT NOT NULL,                              -- queued | running | done | cancelled
    spec TEXT NOT NULL, total INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    saved_bytes INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL, started_at REAL, finished_at REAL
);
CREATE INDEX orders_open ON orders (id) WHERE finished_at IS NULL;
CREATE TABLE order_item (
    order_id INTEGER NOT NULL REFERENCES orders ON DELETE CASCADE, n INTEGER NOT NULL, watch_id INTEGER NOT NULL,
    path BLOB NOT NULL, name TEXT NOT NULL,                               -- name: as the caller calls it
    state TEXT NOT NULL,                                                  -- waiting | done | failed | cancelled
    result TEXT NOT NULL DEFAULT '', PRIMARY KEY (order_id, n)
) WITHOUT ROWID;
CREATE INDEX order_item_waiting ON order_item (order_id, n) WHERE state = 'waiting';
-- Temporary names of uploads under way, removed at the next start.
CREATE TABLE upload (watch_id INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (watch_id, name)) WITHOUT ROWID;
CREATE INDEX order_item_of ON order_item (watch_id, path) WHERE state = 'waiting';
-- A record for another signature is of other parts: it is made anew.
ALTER TABLE analysis ADD COLUMN signature TEXT NOT NULL DEFAULT '';
-- What was left out or given up when it was rendered: notes of imaging, by commas (`truncated`, `icc_ignored` …).
ALTER TABLE source ADD COLUMN notes TEXT NOT NULL DEFAULT '';
CREATE INDEX source_young ON source (watch_id, retry_at, id) WHERE state = 0 AND young = 1;

DROP TABLE outbox;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, delivery TEXT NOT NULL, hook TEXT NOT NULL, event TEXT NOT NULL,
    watch TEXT NOT NULL, path BLOB NOT NULL, body TEXT NOT NULL, created_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',                 -- or dead
    tries INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL DEFAULT 0, problem TEXT NOT NULL DEFAULT ''
);
CREATE INDEX outbox_state ON outbox (hook, state, id);
CREATE INDEX outbox_path ON outbox (hook, watch, path, id);
CREATE TABLE batch (                                       -- what the next batch_done of a hook lists
    hook TEXT NOT NULL, watch TEXT NOT NULL, path BLOB NOT NULL, event TEXT NOT NULL, PRIMARY KEY (hook, watch, path)
) WITHOUT ROWID;
"""

VERSION_4 = """
-- Where the version was read from (pipeline/judge.py). NULL: unknown until a walk finds the source at its place.
ALTER TABLE source ADD COLUMN volume TEXT;
-- Identities of mounts are written in another way: the next walk notes them.
UPDATE watch SET mount = NULL;
ALTER TABLE folder DROP COLUMN mount;
"""

VERSION_5 = """
-- Failures in a row that were no fault of the image; `tries` are those that were.
ALTER TABLE source ADD COLUMN put_off INTEGER NOT NULL DEFAULT 0;
-- Read so soon after its own mtime that another change may have left the same one: a poll has it read once more.
ALTER TABLE source ADD COLUMN racy INTEGER NOT NULL DEFAULT 0;
"""

MIGRATIONS: tuple[str, ...] = (VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5)
"""Script n brings a file of version n to version n + 1; released ones are never edited."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the newest version, each step in a transaction of its own.

    Raises StartError for a file that a newer hotfolder has written.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StartError(
            f"the index has version {version}, but this hotfolder knows only {len(MIGRATIONS)}: "
            "use the newer hotfolder again, or another `state` folder"
        )
    for number in range(version, len(MIGRATIONS)):
        # executescript commits what is open first, so the transaction stands inside the script.
        connection.executescript(f"BEGIN;\n{MIGRATIONS[number]}\nPRAGMA user_version = {number + 1};\nCOMMIT;")
