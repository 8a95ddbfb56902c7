"""Carry out a plan: create what is missing, then bring every target to its wanted state.

Independent targets go on when one fails. A refused key ends everything; missing credits start
nothing more and let what runs be watched to its end. When the time of the run is up, everything
is broken off as by an interrupt, and told. However a run ends early, every resource has an outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.errors import AuthenticationError, ExitCode, ReconcilerError
from reconciler.core.explain import explain
from reconciler.core.model.events import Event, EventKind, Outcome
from reconciler.core.model.manifest import Kind
from reconciler.core.model.observed import LiveTarget
from reconciler.core.model.plan import SETTLED, Reason, Verb
from reconciler.core.planning.orphans import prunable
from reconciler.core.planning.record import record
from reconciler.core.planning.resources import resolved
from reconciler.engine.convergence import accepted_shortfall, converge, cut_off
from reconciler.engine.creation import create_all
from reconciler.engine.deletion import delete_all
from reconciler.engine.keeper import Keeper
from reconciler.engine.run import Run
from reconciler.engine.tasks import for_each

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.clock import Clock
    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.plan import Action, Plan
    from reconciler.engine.keeper import LockWriter
    from reconciler.engine.ports import WriteApi
    from reconciler.engine.run import RunOptions


_NOT_DONE = {
    Verb.CREATE: "created",
    Verb.REVISE: "created",
    Verb.REPLACE: "replaced",
    Verb.DELETE: "deleted",
}
#: Seconds after which what was held back is written, if a write is due by then.
FLUSH_EVERY = 1.0


async def execute(
    desired: Desired,
    observed: Observed,
    lock: Lock | None,
    plan: Plan,
    *,
    api: WriteApi,
    writer: LockWriter,
    clock: Clock,
    emit: Callable[[Event], None],
    options: RunOptions,
    outcomes: dict[ResourceId, Outcome] | None = None,
) -> tuple[Outcome, ...]:
    """Carry out a plan and return how each resource fared.

    The lockfile is on disk when this returns, and also when it is cancelled or raises. None is
    begun where nothing could be observed. ``outcomes`` is filled on the way, so that it holds them
    also when a refused key or a cancellation ends the run; these it tells no events about.
    """
    outcomes = {} if outcomes is None else outcomes
    templates = {it.id: it.parent for it in desired.targets.values() if it.parent}
    if plan.destruction:
        # Nothing is to be converged then: only what the plan says happens.
        desired = replace(desired, repos={}, prompts={}, targets={})
    before = record(desired, observed, lock, api_url=plan.api_url)
    refusals = [a for a in plan.blocked if a.reason is Reason.BUDGET_EXCEEDED]
    if refusals:
        if lock:
            writer.write(before)
        outcomes.update((action.resource, _blocked(action, emit)) for action in refusals)
        return tuple(outcomes.values())
    is_known = lock is not None or not plan.unknown
    keeper = Keeper(before, writer, clock, empty_is_news=is_known)
    run = Run(
        desired,
        observed,
        plan,
        api,
        keeper,
        clock,
        emit,
        options,
        outcomes=outcomes,
        templates=templates,
    )
    await _to_its_end(run)
    return tuple(outcomes.values())


async def _to_its_end(run: Run) -> None:
    flushing = asyncio.create_task(_keep_flushing(run))
    try:
        _settle_what_needs_nothing(run)
        _forget_orphans(run)
        await _carry_out(run)
    except (asyncio.CancelledError, AuthenticationError):
        run.is_broken_off = True
        _end_what_is_left(run)
        raise
    finally:
        flushing.cancel()
        run.keeper.flush(force=True)


async def _carry_out(run: Run) -> None:
    """Do all that the plan wants done; what is not when the time is up ends as pending."""
    try:
        async with run.timer:
            await create_all(run)
            await delete_all(run)
            await for_each(
                _unended(run),
                lambda target: converge(run, target, *_live(run, target)),
                limit=run.options.parallelism,
            )
    except TimeoutError:
        if not run.timer.expired():  # a disk that timed out, for one
            raise
        _end_what_is_left(run)


def _end_what_is_left(run: Run) -> None:
    for action in run.plan.actions:
        id_ = action.resource
        if action.verb in _NOT_DONE and id_ not in run.outcomes and id_ not in run.made:
            why = f"not {_NOT_DONE[action.verb]}, as far as is known: {run.why_over}"
            run.end(id_, ExitCode.PENDING, why)
    for target in _unended(run):
        cut_off(run, target, *_live(run, target))


def _unended(run: Run) -> list[DesiredTarget]:
    return [target for id_, target in run.desired.targets.items() if id_ not in run.outcomes]


async def _keep_flushing(run: Run) -> None:
    """Bring to disk what was held back, also while nothing else happens for long."""
    while True:
        await run.keeper.has_news()
        await run.clock.sleep(FLUSH_EVERY)
        # A write that fails now is tried again, and fails for all to see, when the run ends.
        with contextlib.suppress(ReconcilerError):
            run.keeper.flush()


def _settle_what_needs_nothing(run: Run) -> None:
    """End everything that a plan leaves alone: what is as wanted, blocked or unreadable."""
    staged = {action.resource for action in run.plan.actions if action.stage is not None}
    for unknown in run.plan.unknown:
        run.end(unknown.resource, ExitCode.ERROR, unknown.why)
    for action in run.plan.actions:
        if action.verb is Verb.BLOCKED:
            run.outcomes[action.resource] = _blocked(action, run.emit)
        elif action.verb in SETTLED and action.resource not in run.outcomes:
            if action.verb is Verb.ADOPT:
                run.emit(Event(EventKind.ADOPTED, action.resource))
            if action.resource not in staged:
                run.end(action.resource, ExitCode.OK)
    for short in run.plan.accepted_shortfalls:
        if short.resource not in staged:  # of the others, driving their stages tells
            text = accepted_shortfall(short.lines, short.wanted)
            run.emit(Event(EventKind.WARNING, short.resource, short.stage, message=text))


def _forget_orphans(run: Run) -> None:
    """Drop the record of prompts and repos that nothing declares: the API cannot delete them."""
    if run.options.forget_orphans:
        for id_ in prunable(run.plan.orphans, run.desired):
            if id_.kind is not Kind.TARGET:
                run.keeper.forget(id_)


def _blocked(action: Action, emit: Callable[[Event], None]) -> Outcome:
    sentence = explain(action)
    emit(Event(EventKind.BLOCKED, action.resource, action.stage, message=sentence))
    return Outcome(action.resource, ExitCode.BLOCKED, action.stage, sentence)


def _live(run: Run, target: DesiredTarget) -> tuple[LiveTarget, str]:
    """Return a target as far as it is known, and its live name."""
    live_name = run.plan.live_names[target.id]
    seen = run.observed.target(target.id.called(live_name))
    if target.id in run.created or not isinstance(seen, LiveTarget):
        seen = LiveTarget(resolved(target.config, target.repo, run.plan.live_names))
    return seen, live_name
