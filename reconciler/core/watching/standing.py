"""Where every resource stands after a run, and what has changed about that since people were told.

Pure: what was told before is handed in, and so is the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.core.errors import ExitCode
from reconciler.core.model.desired import Stage
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.observed import LiveStage
from reconciler.core.model.plan import Verb
from reconciler.core.planning.stages import decide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.events import RunResult
    from reconciler.core.model.lock import Lock, LockedTarget
    from reconciler.core.model.plan import Plan


class State(StrEnum):
    """How a resource stands; scripts and alerts may match on these."""

    CONVERGED = "converged"
    RUNNING = "running"
    BLOCKED = "blocked"
    FAILED = "failed"


class Change(StrEnum):
    """What became of a resource; scripts may match on these."""

    CONVERGED = "converged"
    DIVERGED = "diverged"
    BLOCKED = "blocked"
    FAILED = "failed"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a resource stands, at which stage, and why if that needs words.

    ``is_unread`` says that it failed only because its live state could not be read.
    """

    state: State
    stage: Stage | None = None
    message: str = ""
    is_unread: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What people were told last of a resource; ``at`` in seconds since 1970."""

    state: State
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Transition:
    """A change worth telling."""

    resource: ResourceId
    change: Change
    was: State
    now: Standing


_STATES = {
    ExitCode.OK: State.CONVERGED,
    ExitCode.PENDING: State.RUNNING,
    ExitCode.BLOCKED: State.BLOCKED,
    ExitCode.ERROR: State.FAILED,
}
_TROUBLE = frozenset({State.BLOCKED, State.FAILED})
#: From best to worst.
_ORDER = tuple(State)
#: How a stage stands about which this is to be done; anything else needs a person.
_ON_RECORD = {
    Verb.UNCHANGED: State.CONVERGED,
    Verb.RUN: State.RUNNING,
    Verb.WAIT: State.RUNNING,
}
#: What stands for a run as a whole, where no resource is to blame.
WHOLE_RUN = ResourceId(Kind.PROJECT, "project")


def after(
    desired: Desired, plan: Plan, result: RunResult, known: Iterable[ResourceId] = ()
) -> dict[ResourceId, Standing]:
    """Return how every target selected stands after a run, and whatever else needs attention.

    Of what is ``known`` to have needed it earlier, it also tells that it no longer does.
    """
    unread = {unknown.resource for unknown in plan.unknown}
    found = {
        outcome.resource: Standing(
            _STATES[outcome.code], outcome.stage, outcome.message, outcome.resource in unread
        )
        for outcome in result.outcomes
        if outcome.code in _STATES
        and (outcome.code is not ExitCode.OK or outcome.resource in desired.targets)
    }
    refused = _STATES.get(result.exit_code, State.FAILED)
    open_ = {action.resource for action in (*plan.pending, *plan.blocked)}
    for id_ in desired.targets:
        if id_ not in found:  # a plan that was refused as a whole says nothing of each
            found[id_] = Standing(refused if id_ in open_ else State.CONVERGED)
    for id_ in known:
        if id_.kind is not Kind.TARGET and id_ not in desired.out_of_scope:
            found.setdefault(id_, Standing(State.CONVERGED))
    drawn_in = desired.drawn_in
    return {id_: it for id_, it in found.items() if id_ not in drawn_in or it.state in _TROUBLE}


def on_record(desired: Desired, lock: Lock | None) -> dict[ResourceId, State]:
    """Return how the declared targets stood when the lockfile was written, as far as it tells."""
    known = lock.targets if lock else {}
    return {
        id_: max((_locked(target, known[id_], stage) for stage in Stage), key=_ORDER.index)
        for id_, target in desired.targets.items()
        if id_ in known
    }


def _locked(target: DesiredTarget, locked: LockedTarget, stage: Stage) -> State:
    want = target.stage(stage)
    if not want.wanted:
        return State.CONVERGED
    seen = locked.stages.get(stage)
    if locked.digest != target.digest or seen is None:
        return State.RUNNING
    live = LiveStage(seen.status, seen.lines)
    return _ON_RECORD.get(decide(want, live, seen.attempts, target.policy).verb, State.BLOCKED)


def transitions(
    told: Mapping[ResourceId, Told],
    standings: Mapping[ResourceId, Standing],
    *,
    now: float,
    quiet: float = 0.0,
) -> tuple[Transition, ...]:
    """Return what is worth telling: at most one change of a resource every ``quiet`` seconds.

    What happens in between is not lost: the next time, what was told last is compared again.
    """
    return tuple(
        Transition(id_, change, was.state, standing)
        for id_, standing, was in _compared(told, standings)
        if (change := _change(was.state, standing.state)) and _may_be_told(was, now, quiet)
    )


def _compared(
    told: Mapping[ResourceId, Told], standings: Mapping[ResourceId, Standing]
) -> Iterator[tuple[ResourceId, Standing, Told]]:
    for id_ in sorted(standings):
        yield id_, standings[id_], told.get(id_, Told(_first(id_)))


def _first(id_: ResourceId) -> State:
    """Return what is assumed of something never heard of: a target is yet to be made."""
    return State.RUNNING if id_.kind is Kind.TARGET else State.CONVERGED


def _change(was: State, now: State) -> Change | None:
    if was is now:
        return None
    if now in _TROUBLE:
        return Change(now)
    if was in _TROUBLE:
        return Change.RECOVERED
    return Change.CONVERGED if now is State.CONVERGED else Change.DIVERGED


def _may_be_told(was: Told, now: float, quiet: float) -> bool:
    # A clock that was set back must not silence anybody for ever.
    return not was.at <= now < was.at + quiet


def remembered(
    told: Mapping[ResourceId, Told],
    standings: Mapping[ResourceId, Standing],
    sent: Iterable[Transition],
    *,
    now: float,
    elsewhere: Iterable[ResourceId] = (),
) -> dict[ResourceId, Told]:
    """Return what people have been told once the ``sent`` transitions have reached them.

    What was not looked at, because it is of ``elsewhere``, is kept; what is gone is forgotten.
    """
    kept = {id_: told[id_] for id_ in elsewhere if id_ in told}
    kept |= {id_: was for id_, _, was in _compared(told, standings)}
    kept |= {it.resource: Told(it.now.state, now) for it in sent}
    return {id_: it for id_, it in kept.items() if not _is_over(id_, it)}


def _is_over(id_: ResourceId, told: Told) -> bool:
    """Tell whether something that nobody asks about unless it is in trouble is out of it."""
    return id_.kind is not Kind.TARGET and told.state not in _TROUBLE
