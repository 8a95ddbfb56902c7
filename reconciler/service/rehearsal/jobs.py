"""Does to jobs what a rehearsal says: slows them, stalls them, fails them or cuts them short.

A fate is asked before each row is made. Never makes a row and never touches the store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reconciler.service.rehearsal.script import JobRule, Turns, fits
from reconciler.service.work.model import ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.service.rehearsal.script import Script

_UNHARMED = JobRule()


class Fate:
    """What a rehearsal has in mind for one job; nothing without a rule."""

    def __init__(
        self,
        rule: JobRule = _UNHARMED,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._rule = rule
        self._sleep = sleep
        self._stalling = asyncio.Lock()
        self._has_stalled = False

    async def before(self, n: int, total: int) -> bool:
        """Say whether row ``n`` of ``total`` (from 0 on) is to be made; if not, no later one is.

        Returns when its time has come, which may be never. Raises ModelError when the job fails.
        Several rows may be asked for at a time.
        """
        rule = self._rule
        if rule is _UNHARMED:
            return True
        if rule.lines is not None and n >= rule.lines.of(total):
            return False
        if n >= min(rule.at.of(total), total - 1):
            await self._end(rule)
        if rule.delay:
            await self._sleep(rule.delay)
        return True

    async def _end(self, rule: JobRule) -> None:
        if rule.fail is not None:
            raise ModelError(rule.fail)
        async with self._stalling:
            if rule.stall and not self._has_stalled:
                await self._sleep(rule.stall)
                self._has_stalled = True


class Fates:
    """The fates of all jobs under one script; a job keeps the rule it met first."""

    def __init__(
        self,
        script: Script | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        rules, seed = (script.jobs, script.seed) if script else ((), 0)
        self._turns = Turns(rules, seed)
        self._sleep = sleep
        self._met: dict[int, JobRule] = {}

    def of(self, job: int, stage: str, target: str) -> Fate:
        """Return the fate of an attempt at a stage of a target, ``REPO/NAME``.

        The same job asked for again, since it was interrupted, is no further attempt.
        """
        if job not in self._met:
            rule = self._turns.first(
                lambda each: each.stage in (None, stage) and fits(each.target, target)
            )
            self._met[job] = rule or _UNHARMED
        return Fate(self._met[job], self._sleep)
