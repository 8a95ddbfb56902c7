"""Where a running job puts its rows: committed within milliseconds of their arrival, in batches.

Rows may arrive in any order. Readers see the gapless part from the first row on, so a page never
changes once it has been seen. Never keeps a row that was committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

from reconciler.service.state.store import JobGoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.service.state.store import Store

DELAY = 0.005
"""The longest time in seconds between a row's arrival and its commit."""


class Sink:
    """The rows of one job: ``lines`` can be read, those ``ahead`` wait for a gap to close.

    ``on_rows`` is told how many rows were committed.
    """

    def __init__(
        self, store: Store, job: int, lines: int, on_rows: Callable[[int], object] = lambda _: None
    ) -> None:
        self.lines = lines
        self.ahead = set(store.numbers(job, lines))
        self._store = store
        self._job = job
        self._on_rows = on_rows
        self._rows: list[tuple[int, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None

    def add(self, n: int, record: str) -> None:
        """Take row ``n``; raises what ``flush`` raises if rows taken before could not be kept."""
        if self._failure is not None:
            raise self._failure
        self._rows.append((n, record))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self._on_time)

    def flush(self) -> None:
        """Commit what has arrived; raises JobGoneError and sqlite3.Error, and is then of no use."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._failure is None and self._rows:
            self._commit()
        if self._failure is not None:
            raise self._failure

    def _on_time(self) -> None:
        self._timer = None
        self._commit()

    def _commit(self) -> None:
        rows, self._rows = self._rows, []
        self._settle(n for n, _ in rows)
        try:
            self._store.add_rows(self._job, rows, self.lines, self.lines + len(self.ahead))
        except (JobGoneError, sqlite3.Error) as error:
            self._failure = error
        else:
            self._on_rows(len(rows))

    def _settle(self, numbers: Iterable[int]) -> None:
        """Count rows as present, and move the end of the gapless part as far as they allow."""
        self.ahead.update(numbers)
        while self.lines in self.ahead:
            self.ahead.remove(self.lines)
            self.lines += 1
