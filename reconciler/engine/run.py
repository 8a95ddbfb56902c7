"""What the parts of a run share: its inputs, its effects, and how each resource fared."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.core.errors import ApiError, ExitCode
from reconciler.core.limits import PARALLELISM
from reconciler.core.model.events import Event, EventKind, Outcome
from reconciler.core.model.plan import CREATES
from reconciler.engine.pacing import Experience

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.clock import Clock
    from reconciler.core.model.desired import Desired, Stage
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.plan import Plan
    from reconciler.engine.keeper import Keeper
    from reconciler.engine.pacing import Pace
    from reconciler.engine.ports import WriteApi

#: The last look at what is waited for comes so many seconds before the time of a run is up, or in
#: the last tenth of a short one: its answer takes a moment.
_LAST_LOOK, _LAST_SHARE = 1.0, 0.1
_EVENT_OF = {
    ExitCode.ERROR: EventKind.ERROR,
    ExitCode.BLOCKED: EventKind.BLOCKED,
    ExitCode.PENDING: EventKind.PENDING,
}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to carry out a plan. ``timeout`` is for the whole run, in seconds.

    When it is up, nothing more is sent, and no answer is waited for.
    With ``forget_orphans`` the lockfile loses what is no longer declared and cannot be deleted.
    """

    pace: Pace
    parallelism: int = PARALLELISM
    wait: bool = True
    timeout: float | None = None
    forget_orphans: bool = False


@dataclass(slots=True)
class Run:
    """One run under way; mutable where a run changes."""

    desired: Desired
    observed: Observed
    plan: Plan
    api: WriteApi
    keeper: Keeper
    clock: Clock
    emit: Callable[[Event], None]
    options: RunOptions
    outcomes: dict[ResourceId, Outcome] = field(default_factory=dict)
    #: What gets a new live resource in this run, so that nothing observed before speaks for it.
    created: frozenset[ResourceId] = frozenset()
    #: Of these, what is there by now as far as the API has said.
    made: set[ResourceId] = field(default_factory=set)
    experience: Experience = field(default_factory=Experience)
    #: What cancels everything when the time of the run is up; expired from then on.
    timer: asyncio.Timeout = field(init=False)
    #: When to look a last time at what is waited for, on the clock.
    last_look: float = field(init=False, default=math.inf)
    #: Why nothing more may be started, once the account has run out of credits.
    out_of_credits: str = ""
    #: The template of each declared target that has one; templates come before what uses them.
    templates: dict[ResourceId, ResourceId] = field(default_factory=dict)
    #: Whether an interrupt or a refused key has ended the run, which whoever began it tells.
    is_broken_off: bool = False

    def __post_init__(self) -> None:
        seconds = self.options.timeout
        self.timer = asyncio.timeout(seconds)
        if seconds is not None:
            early = min(_LAST_LOOK, _LAST_SHARE * seconds)
            self.last_look = self.clock.now() + seconds - early
        self.created = frozenset(a.resource for a in self.plan.actions if a.verb in CREATES)

    def end(
        self,
        resource: ResourceId,
        code: ExitCode,
        message: str = "",
        stage: Stage | None = None,
    ) -> Outcome:
        """Note how a resource fared; tell about it unless all is well, or all is over."""
        outcome = Outcome(resource, code, stage, message)
        self.outcomes[resource] = outcome
        if code in _EVENT_OF and not self.is_broken_off:
            self.emit(Event(_EVENT_OF[code], resource, stage, message=message))
        return outcome

    @property
    def why_over(self) -> str:
        """Why nothing more is done, once a run has ended before its end."""
        return "the time is up" if self.timer.expired() else "the run was broken off"

    def failed(self, resource: ResourceId) -> Outcome | None:
        """Return the outcome of a resource that others cannot rely on, if it is such a one."""
        outcome = self.outcomes.get(resource)
        return outcome if outcome and outcome.code is not ExitCode.OK else None


def say(error: ApiError) -> str:
    """Return the sentence and the hint of an API error as one line."""
    return f"{error.message}. {error.hint}" if error.hint else error.message
