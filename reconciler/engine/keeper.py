"""The lockfile during a run: current at any time, written as observations come in.

Writes are spread so that they cost a small share of the run however many targets there are; what
must be on disk before something else happens (an attempt, before its POST) is written at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from reconciler.core.model.lock import Lock, LockedPrompt, LockedRepo, LockedTarget

if TYPE_CHECKING:
    from reconciler.core.clock import Clock
    from reconciler.core.model.desired import Stage
    from reconciler.core.model.manifest import ResourceId

#: Between two writes at least so many times the duration of one passes.
_SPREAD = 20.0


class LockWriter(Protocol):
    """Where the lockfile is kept."""

    def write(self, lock: Lock) -> bool:
        """Replace the file, atomically; return whether its bytes changed."""
        ...


class Keeper:
    """Holds the current lock and brings it to disk.

    An empty one is written only if that ``empty_is_news``: not if nothing could be observed.
    """

    def __init__(
        self, lock: Lock, writer: LockWriter, clock: Clock, *, empty_is_news: bool = True
    ) -> None:
        self.repos = dict(lock.repos)
        self.prompts = dict(lock.prompts)
        self.targets = dict(lock.targets)
        self._api_url = lock.api_url
        self._empty_is_news = empty_is_news
        self._writer = writer
        self._clock = clock
        self._news = asyncio.Event()
        self._news.set()
        self._not_before = 0.0

    def put_repo(self, id_: ResourceId, entry: LockedRepo) -> None:
        """Record a repo."""
        self.repos[id_] = entry
        self._changed()

    def put_prompt(self, id_: ResourceId, entry: LockedPrompt) -> None:
        """Record a prompt."""
        self.prompts[id_] = entry
        self._changed()

    def put_target(self, id_: ResourceId, entry: LockedTarget) -> None:
        """Record a target."""
        if self.targets.get(id_) != entry:
            self.targets[id_] = entry
            self._changed()

    def count_attempt(self, id_: ResourceId, stage: Stage, attempts: int) -> None:
        """Record that a stage is about to be run again; on disk when this returns."""
        target = self.targets[id_]
        counted = replace(target.stages[stage], attempts=attempts)
        stages = {**target.stages, stage: counted}
        self.targets[id_] = replace(target, stages=stages)
        self.flush(force=True)

    def forget(self, id_: ResourceId) -> None:
        """Drop whatever is recorded under an address."""
        for part in (self.repos, self.prompts, self.targets):
            part.pop(id_, None)
        self._changed()

    def flush(self, *, force: bool = False) -> None:
        """Write what has changed, unless a write was just made and nothing forces another."""
        now = self._clock.now()
        if not (force or (self._news.is_set() and now >= self._not_before)):
            return
        lock = Lock(self._api_url, self.repos, self.prompts, self.targets)
        if self._empty_is_news or lock.ids():
            self._writer.write(lock)
        done = self._clock.now()
        self._news.clear()
        self._not_before = done + _SPREAD * (done - now)

    async def has_news(self) -> None:
        """Return as soon as something is yet to be written."""
        await self._news.wait()

    def _changed(self) -> None:
        self._news.set()
        self.flush()
