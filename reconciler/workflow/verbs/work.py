"""Carrying out a plan that was confirmed, whichever verb made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.model.events import RunResult
from reconciler.engine.executor import execute
from reconciler.workflow import connection, stopping
from reconciler.workflow.verbs import shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.events import Event
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.plan import Plan
    from reconciler.engine.run import RunOptions
    from reconciler.lockfile import Store
    from reconciler.workflow.connection import Connection
    from reconciler.workflow.stopping import SoFar


@dataclass(frozen=True, slots=True)
class Work:
    """A plan that was confirmed, and all it takes to carry it out."""

    api: Connection
    desired: Desired
    observed: Observed
    lock: Lock | None
    plan: Plan
    store: Store
    emit: Callable[[Event], None]
    options: RunOptions

    def carried_out(self, looked: int) -> RunResult:
        """Carry the plan out; ``looked`` requests were needed to make it.

        An interrupt ends it with what is known by then. Raises AuthenticationError.
        """
        so_far = stopping.so_far()
        so_far.requests = looked
        interrupted = False
        try:
            shared.run(self._execute(so_far))
        except KeyboardInterrupt:
            interrupted = True
        return RunResult(
            tuple(so_far.outcomes.values()),
            interrupted=interrupted,
            destruction=self.plan.destruction,
            requests=so_far.requests,
        )

    async def _execute(self, so_far: SoFar) -> None:
        async with self.api.open() as session:
            with so_far.counting(session.http):
                await execute(
                    self.desired,
                    self.observed,
                    self.lock,
                    self.plan,
                    api=session,
                    writer=self.store,
                    clock=connection.SystemClock(),
                    emit=self.emit,
                    options=self.options,
                    outcomes=so_far.outcomes,
                )
