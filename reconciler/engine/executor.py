"""Carry out a plan: create what is missing, then bring every target to its wanted state.

Independent targets go on when one fails. A refused key ends everything; missing credits start
nothing more and let what runs be watched to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.errors import ExitCode, ReconcilerError
from reconciler.core.explain import explain
from reconciler.core.model.events import Event, EventKind, Outcome
from reconciler.core.model.manifest import Kind
from reconciler.core.model.observed import LiveTarget
from reconciler.core.model.plan import SETTLED, Reason, Verb
from reconciler.core.planning.orphans import prunable
from reconciler.core.planning.record import record
from reconciler.core.planning.resources import resolved
from reconciler.engine.convergence import converge
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
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.plan import Action, Plan
    from reconciler.engine.keeper import LockWriter
    from reconciler.engine.ports import WriteApi
    from reconciler.engine.run import RunOptions


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
) -> tuple[Outcome, ...]:
    """Carry out a plan and return how each resource fared.

    The lockfile is on disk when this returns, and also when it is cancelled or raises. None is
    begun where nothing could be observed.
    """
    before = record(desired, observed, lock, api_url=plan.api_url)
    refusals = [a for a in plan.blocked if a.reason is Reason.BUDGET_EXCEEDED]
    if refusals:
        if lock:
            writer.write(before)
        return tuple(_blocked(action, emit) for action in refusals)
    is_known = lock is not None or not plan.unknown
    keeper = Keeper(before, writer, clock, empty_is_news=is_known)
    run = Run(desired, observed, plan, api, keeper, clock, emit, options)
    flushing = asyncio.create_task(_keep_flushing(run))
    try:
        _settle_what_needs_nothing(run)
        _forget_orphans(run)
        await create_all(run)
        await delete_all(run)
        todo = [target for id_, target in desired.targets.items() if id_ not in run.outcomes]
        await for_each(todo, lambda target: _converge(run, target), limit=options.parallelism)
    finally:
        flushing.cancel()
        keeper.flush(force=True)
    return tuple(run.outcomes.values())


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
            _tell_settled(run, action)
            if action.resource not in staged:
                run.end(action.resource, ExitCode.OK)


def _forget_orphans(run: Run) -> None:
    """Drop the record of prompts and repos that nothing declares: the API cannot delete them."""
    if run.options.forget_orphans:
        for id_ in prunable(run.plan.orphans, run.desired):
            if id_.kind is not Kind.TARGET:
                run.keeper.forget(id_)


def _tell_settled(run: Run, action: Action) -> None:
    if action.verb is Verb.ADOPT:
        run.emit(Event(EventKind.ADOPTED, action.resource))
    if action.reason is Reason.SHORTFALL_ACCEPTED:
        run.emit(Event(EventKind.WARNING, action.resource, message=action.message))


def _blocked(action: Action, emit: Callable[[Event], None]) -> Outcome:
    sentence = explain(action)
    emit(Event(EventKind.BLOCKED, action.resource, action.stage, message=sentence))
    return Outcome(action.resource, ExitCode.BLOCKED, action.stage, sentence)


async def _converge(run: Run, target: DesiredTarget) -> None:
    live_name = run.plan.live_names[target.id]
    seen = run.observed.target(replace(target.id, name=live_name))
    if target.id in run.created or not isinstance(seen, LiveTarget):
        seen = LiveTarget(resolved(target.config, target.repo, run.plan.live_names))
    await converge(run, target, seen, live_name)
