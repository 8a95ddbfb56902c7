"""The SQLite file: how it is opened, what tables it has, which format it is in.

Never reads or writes what is in the tables.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from reconciler.service.settings import ServiceError
from reconciler.service.state.datadir import DATABASE, unusable

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 2
_BUSY_SECONDS = 15.0
_TABLES = """
CREATE TABLE repos (
    id INTEGER PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, base_model TEXT NOT NULL,
    UNIQUE (user, name)
);
CREATE TABLE prompts (
    repo INTEGER NOT NULL REFERENCES repos, name TEXT NOT NULL,
    messages TEXT NOT NULL, tools TEXT,
    PRIMARY KEY (repo, name)
);
CREATE TABLE targets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repo INTEGER NOT NULL REFERENCES repos, name TEXT NOT NULL,
    stim TEXT NOT NULL, rollout TEXT NOT NULL, config TEXT NOT NULL,
    UNIQUE (repo, name)
);
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    target INTEGER NOT NULL REFERENCES targets ON DELETE CASCADE, stage TEXT NOT NULL,
    number INTEGER NOT NULL, status TEXT NOT NULL, error TEXT, total INTEGER,
    lines INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, inputs TEXT NOT NULL,
    UNIQUE (target, stage)
);
CREATE TABLE numbers (last INTEGER NOT NULL);
INSERT INTO numbers VALUES (0);
CREATE INDEX unfinished ON jobs (id) WHERE status = 'running';
CREATE TABLE rows (
    job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE, n INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (job, n)
) WITHOUT ROWID;
"""
_UPGRADES = {
    1: """
ALTER TABLE jobs ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET number = id;
CREATE TABLE numbers (last INTEGER NOT NULL);
INSERT INTO numbers SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'jobs';
""",
}
"""From each older format to the next."""


def connect(data: Path) -> sqlite3.Connection:
    """Open the database of a data directory, made if need be; raises ServiceError.

    Statements outside ``BEGIN`` and ``COMMIT`` are transactions of their own. Writers wait for each
    other. What was committed survives the process; after a power cut the last moments may be lost.
    """
    try:
        db = sqlite3.connect(data / DATABASE, isolation_level=None, timeout=_BUSY_SECONDS)
    except sqlite3.Error as error:
        raise unusable(data, str(error)) from error
    try:
        _prepare(db, data)
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.Error):
            raise unusable(data, str(error)) from error
        raise
    return db


def _prepare(db: sqlite3.Connection, data: Path) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found > FORMAT:
        raise ServiceError(
            f"The data directory {data} was written by a newer version (format {found})",
            hint="Upgrade reconciler, or choose another data directory.",
        )
    steps = [_TABLES] if found == 0 else [_UPGRADES[each] for each in range(found, FORMAT)]
    if steps:
        db.executescript(f"BEGIN; {''.join(steps)} PRAGMA user_version = {FORMAT}; COMMIT;")
