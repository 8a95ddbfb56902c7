"""All state, in one SQLite database: resources, jobs and the rows they made.

Promises that what a method wrote survives the process, and that nothing is ever half written.
Transactions are short, so that several processes can share the file. Holds JSON as text and never
interprets it; decides nothing about what may be created or run.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.service.settings import ServiceError
from reconciler.service.state.database import connect
from reconciler.service.state.datadir import opening_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

RUNNING, COMPLETE, FAILED = "running", "complete", "failed"


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository of one user."""

    id: int
    name: str
    base_model: str


@dataclass(frozen=True, slots=True)
class StoredPrompt:
    """A prompt's messages and tools, as JSON."""

    messages: str
    tools: str | None


@dataclass(frozen=True, slots=True)
class StoredTarget:
    """A target and its config, as JSON."""

    id: int
    config: str


@dataclass(frozen=True, slots=True)
class Job:
    """How far one attempt at a stage is.

    ``number`` tells attempts apart, also where they share their rows; ``id`` belongs to the rows.
    ``lines`` counts the rows that can be read, gapless from the first; ``done`` all that exist;
    ``total`` all there will be, None until that is known.
    """

    id: int
    number: int
    status: str
    error: str | None
    total: int | None
    lines: int
    done: int


@dataclass(frozen=True, slots=True)
class StageRow:
    """A stage of a target: the parameters it shows, as JSON, and its latest attempt."""

    target: int
    parameters: str
    job: Job | None


@dataclass(frozen=True, slots=True)
class Work:
    """What it takes to run a job: its target's config and the inputs noted when it was made.

    ``target`` is called ``REPO/NAME``.
    """

    number: int
    stage: str
    target: str
    total: int | None
    lines: int
    inputs: str
    config: str


class JobGoneError(Exception):
    """The job was deleted while it ran."""


class Store:
    """An open database; belongs to the thread that opened it."""

    def __init__(self, data: Path) -> None:
        self._opening = opening_lock(data)
        self._is_full = False
        try:
            with self._opening.held():
                self._db: sqlite3.Connection = connect(data)
        except ServiceError:
            self._opening.close()
            raise

    def close(self) -> None:
        """Close the database; the store is of no use afterwards."""
        with self._opening.held():
            self._db.close()
        self._opening.close()

    def ping(self) -> None:
        """Touch the database; raises sqlite3.Error when it is out of order."""
        self._db.execute("SELECT count(*) FROM (SELECT 1 FROM repos LIMIT 1)").fetchone()

    def is_writable(self) -> bool:
        """Say whether the last write could be kept; after one that could not, try another."""
        if self._is_full:
            with suppress(sqlite3.Error), self.writing():
                # What it was already; unlike an equal row, it is really written.
                self._db.execute("PRAGMA application_id = 0")
        return not self._is_full

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let several reads see one state of the database."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make several reads and writes one: all of them happen, or none."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
            self._is_full = False
        except sqlite3.OperationalError:
            self._is_full = True
            raise
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def repo(self, user: str, name: str) -> Repo | None:
        """Return a repository of a user."""
        query = "SELECT id, name, base_model FROM repos WHERE user = ? AND name = ?"
        row = self._db.execute(query, (user, name)).fetchone()
        return Repo(*row) if row else None

    def repos(self, user: str) -> list[Repo]:
        """Return a user's repositories, by name."""
        query = "SELECT id, name, base_model FROM repos WHERE user = ? ORDER BY name"
        return [Repo(*row) for row in self._db.execute(query, (user,))]

    def add_repo(self, user: str, name: str, base_model: str) -> None:
        """Add a repository that does not exist."""
        query = "INSERT INTO repos (user, name, base_model) VALUES (?, ?, ?)"
        self._db.execute(query, (user, name, base_model))

    def prompt(self, repo: int, name: str) -> StoredPrompt | None:
        """Return a prompt of a repository."""
        query = "SELECT messages, tools FROM prompts WHERE repo = ? AND name = ?"
        row = self._db.execute(query, (repo, name)).fetchone()
        return StoredPrompt(*row) if row else None

    def prompt_names(self, repo: int) -> list[str]:
        """Return the names of a repository's prompts, sorted."""
        query = "SELECT name FROM prompts WHERE repo = ? ORDER BY name"
        return [name for (name,) in self._db.execute(query, (repo,))]

    def set_prompt(self, repo: int, name: str, messages: str, tools: str | None) -> None:
        """Create a prompt or replace its content."""
        query = "INSERT OR REPLACE INTO prompts (repo, name, messages, tools) VALUES (?, ?, ?, ?)"
        self._db.execute(query, (repo, name, messages, tools))

    def target(self, repo: int, name: str) -> StoredTarget | None:
        """Return a target of a repository."""
        query = "SELECT id, config FROM targets WHERE repo = ? AND name = ?"
        row = self._db.execute(query, (repo, name)).fetchone()
        return StoredTarget(*row) if row else None

    def target_names(self, repo: int) -> list[str]:
        """Return the names of a repository's targets, sorted."""
        query = "SELECT name FROM targets WHERE repo = ? ORDER BY name"
        return [name for (name,) in self._db.execute(query, (repo,))]

    def configs(self, repo: int) -> Iterator[str]:
        """Yield the configs of a repository's targets, the newest first."""
        query = "SELECT config FROM targets WHERE repo = ? ORDER BY id DESC"
        return (config for (config,) in self._db.execute(query, (repo,)))

    def add_target(self, repo: int, name: str, config: str, *, stim: str, rollout: str) -> None:
        """Add a target that does not exist, with the parameters that its stages show."""
        query = "INSERT INTO targets (repo, name, stim, rollout, config) VALUES (?, ?, ?, ?, ?)"
        self._db.execute(query, (repo, name, stim, rollout, config))

    def delete_target(self, repo: int, name: str) -> bool:
        """Delete a target with its jobs and their rows; say whether there was one."""
        query = "DELETE FROM targets WHERE repo = ? AND name = ?"
        return self._db.execute(query, (repo, name)).rowcount > 0

    def stage(self, user: str, repo: str, target: str, stage: str) -> StageRow | None:
        """Return where a stage of a target stands; None when there is no such target."""
        row = self._db.execute(
            "SELECT t.id, CASE ?1 WHEN 'stim' THEN t.stim ELSE t.rollout END,"
            " j.id, j.number, j.status, j.error, j.total, j.lines, j.done"
            " FROM repos r JOIN targets t ON t.repo = r.id"
            " LEFT JOIN jobs j ON j.target = t.id AND j.stage = ?1"
            " WHERE r.user = ?2 AND r.name = ?3 AND t.name = ?4",
            (stage, user, repo, target),
        ).fetchone()
        if row is None:
            return None
        return StageRow(row[0], row[1], Job(*row[2:]) if row[2] is not None else None)

    def unfinished(self) -> list[int]:
        """Return the ids of the jobs that have to run, the oldest first."""
        query = "SELECT id FROM jobs WHERE status = 'running' ORDER BY id"
        return [job for (job,) in self._db.execute(query)]

    def work(self, job: int) -> Work:
        """Return what it takes to run a job; raises JobGoneError."""
        query = (
            "SELECT j.number, j.stage, r.name || '/' || t.name, j.total, j.lines, j.inputs,"
            " t.config FROM jobs j JOIN targets t ON t.id = j.target JOIN repos r ON r.id = t.repo"
            " WHERE j.id = ?"
        )
        row = self._db.execute(query, (job,)).fetchone()
        if row is None:
            raise JobGoneError
        return Work(*row)

    def add_job(self, target: int, stage: str, inputs: str, total: int | None) -> None:
        """Add an attempt at a stage, in place of the one before and its rows."""
        self._db.execute("DELETE FROM jobs WHERE target = ? AND stage = ?", (target, stage))
        self._db.execute(
            "INSERT INTO jobs (target, stage, number, status, total, inputs)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (target, stage, self._next_number(), RUNNING, total, inputs),
        )

    def continue_job(self, job: int) -> None:
        """Make a failed attempt a new one that begins with the rows that are there."""
        query = "UPDATE jobs SET number = ?, status = ?, error = NULL WHERE id = ?"
        self._db.execute(query, (self._next_number(), RUNNING, job))

    def _next_number(self) -> int:
        (number,) = self._db.execute("UPDATE numbers SET last = last + 1 RETURNING last").fetchone()
        return int(number)

    def claim(self, job: int) -> None:
        """See that rows of a job can be kept; raises JobGoneError and sqlite3.Error."""
        query = "UPDATE jobs SET status = status WHERE id = ?"
        with self.writing():
            if self._db.execute(query, (job,)).rowcount == 0:
                raise JobGoneError

    def set_total(self, job: int, total: int) -> None:
        """Note how many rows a job will have."""
        self._db.execute("UPDATE jobs SET total = ? WHERE id = ?", (total, job))

    def add_rows(self, job: int, rows: Iterable[tuple[int, str]], lines: int, done: int) -> None:
        """Add rows and the counts that include them; raises JobGoneError."""
        with self.writing():
            counted = self._db.execute(
                "UPDATE jobs SET lines = ?, done = ? WHERE id = ?", (lines, done, job)
            )
            if counted.rowcount == 0:
                raise JobGoneError
            keyed = ((job, n, record) for n, record in rows)
            self._db.executemany("INSERT INTO rows (job, n, record) VALUES (?, ?, ?)", keyed)

    def finish(self, job: int, status: str, error: str | None = None) -> None:
        """Mark a job as complete or failed."""
        query = "UPDATE jobs SET status = ?, error = ? WHERE id = ?"
        self._db.execute(query, (status, error, job))

    def records(self, job: int, start: int, stop: int, limit: int) -> list[str]:
        """Return at most ``limit`` records with ``start <= n < stop``, in order."""
        query = "SELECT record FROM rows WHERE job = ? AND n >= ? AND n < ? ORDER BY n LIMIT ?"
        return [record for (record,) in self._db.execute(query, (job, start, stop, limit))]

    def job_counts(self) -> dict[tuple[str, str], int]:
        """Return how many stages there are of each kind and status, those of all users."""
        query = "SELECT stage, status, count(*) FROM jobs GROUP BY stage, status"
        return {(stage, status): number for stage, status, number in self._db.execute(query)}

    def numbers(self, job: int, start: int) -> Sequence[int]:
        """Return the numbers ``n >= start`` of the rows that exist, in order."""
        query = "SELECT n FROM rows WHERE job = ? AND n >= ? ORDER BY n"
        return [n for (n,) in self._db.execute(query, (job, start))]
