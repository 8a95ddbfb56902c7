"""Runs the jobs of a data directory, each from where its rows end.

Several processes may serve one directory; the one that holds the runner lock runs all its jobs, and
another takes over when that process is gone. A job is work noted in the store: whoever runs it, and
however often it is interrupted, every row is made once. Never talks to a client.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from reconciler.service.resources.config import STIM
from reconciler.service.state.store import COMPLETE, FAILED, JobGoneError
from reconciler.service.work.generators import SourceError
from reconciler.service.work.model import ClosedError, Gate, ModelError
from reconciler.service.work.production import make_rollout, make_stim
from reconciler.service.work.sink import Sink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from reconciler.service.state.datadir import FileLock
    from reconciler.service.state.store import Work
    from reconciler.service.work.production import Workshop

TAKEOVER_SECONDS = 0.25
"""How often a process without the runner lock asks for it."""
PICKUP_SECONDS = 0.05
"""How often the process with the runner lock looks for jobs that others were asked for."""
SETBACK_SECONDS = 1.0
"""How long to let a troubled database rest."""

log = logging.getLogger(__name__)


class Runner:
    """Starts jobs as they appear in the store and stops those that disappear from it."""

    def __init__(self, shop: Workshop, lock: FileLock) -> None:
        self._gate = Gate(shop.model)
        self._shop = replace(shop, model=self._gate)
        self._lock = lock
        self._woken = asyncio.Event()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look at the store now instead of at the next regular time."""
        self._woken.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run jobs for the duration; what is unfinished afterwards is left for the next runner.

        Answers under way at the end are waited for, as long as the workshop grants.
        """
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            self._gate.close()
            jobs = list(self._tasks.values())
            if jobs and self._shop.grace:
                await asyncio.wait(jobs, timeout=self._shop.grace)
            for job in jobs:
                job.cancel()
            await asyncio.gather(watching, *jobs, return_exceptions=True)
            self._lock.close()

    async def _watch(self) -> None:
        while not self._lock.acquire():
            await self._rest(TAKEOVER_SECONDS)
        while True:
            try:
                self._follow(set(self._shop.store.unfinished()))
            except sqlite3.Error:
                log.exception("cannot look for jobs")
                await asyncio.sleep(SETBACK_SECONDS)
            await self._rest(PICKUP_SECONDS)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    def _follow(self, unfinished: set[int]) -> None:
        for job in self._tasks.keys() - unfinished:
            self._tasks[job].cancel()
        for job in sorted(unfinished - self._tasks.keys()):
            self._tasks[job] = asyncio.create_task(self._run(job))
            self._tasks[job].add_done_callback(partial(self._forget, job))

    def _forget(self, job: int, _: asyncio.Task[None]) -> None:
        del self._tasks[job]

    async def _run(self, job: int) -> None:
        try:
            self._shop.store.claim(job)
            work = self._shop.store.work(job)
            error = await self._outcome(job, work)
            status = FAILED if error else COMPLETE
            self._shop.store.finish(job, status, error)
            self._shop.meter.job_ended(work.stage, status)
        except (JobGoneError, ClosedError):
            return
        except sqlite3.Error:
            log.exception("job %d is interrupted and will be resumed", job)
            await asyncio.sleep(SETBACK_SECONDS)

    async def _outcome(self, job: int, work: Work) -> str | None:
        """Make the missing rows; return what a person should read when that cannot be done."""
        try:
            await self._make_rows(job, work)
        except (SourceError, ModelError) as error:
            return str(error)
        except (JobGoneError, ClosedError, sqlite3.Error):
            raise
        except Exception:
            log.exception("job %d broke down", job)
            return "Internal error: see the log of the service"
        return None

    async def _make_rows(self, job: int, work: Work) -> None:
        on_rows = partial(self._shop.meter.rows, work.stage)
        sink = Sink(self._shop.store, job, work.lines, on_rows)
        try:
            if work.stage == STIM:
                await make_stim(self._shop, job, work, sink)
            else:
                await make_rollout(self._shop, work, sink)
        finally:
            sink.flush()
