"""Delete live targets: those that a plan deletes, and those that it replaces.

Nothing is deleted but what the plan saw. Whatever has changed since is left alone. A template goes
after all that uses it and has to go as well, and never while any of that is still there.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from reconciler.core.errors import ConflictError, ExitCode
from reconciler.core.model.events import EventKind
from reconciler.core.model.observed import COMPLETE, Absent, LiveTarget, Unreadable
from reconciler.core.model.plan import Verb
from reconciler.core.planning.candidates import live_address
from reconciler.engine.acting import each, gives_up, tell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Sequence

    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import LiveStage
    from reconciler.core.model.plan import Action
    from reconciler.engine.run import Run


async def delete_all(run: Run) -> None:
    """Delete what the plan deletes; failures end as outcomes."""
    await _users_first(run, [a for a in run.plan.actions if a.verb is Verb.DELETE], _delete)


async def delete_replaced(run: Run, actions: Sequence[Action]) -> None:
    """Make room for what takes the place of live targets; failures end as outcomes.

    The actions are in the plan's order, templates first. What cannot be made again stays, and with
    it what it needs: that is settled before anything is gone.
    """
    replaced = {action.resource for action in actions}
    for action in actions:
        gives_up(run, action)
    for action in reversed(actions):
        _keep_template(run, action, replaced)
    await _users_first(run, actions, _delete_live)


async def _users_first(
    run: Run, actions: Sequence[Action], delete: Callable[[Run, Action], Awaitable[None]]
) -> None:
    going = {action.resource for action in actions}
    for wave in _waves(run, actions):
        await each(run, wave, delete)
        for action in wave:
            _keep_template(run, action, going)


def _waves(run: Run, actions: Sequence[Action]) -> list[list[Action]]:
    """Return what can go at once: what nothing uses, then what only that uses, and so on."""
    heights: dict[ResourceId, int] = {}
    for user, template in reversed(run.templates.items()):
        heights[template] = max(heights.get(template, 0), heights.get(user, 0) + 1)
    waves: dict[int, list[Action]] = defaultdict(list)
    for action in actions:
        waves[heights.get(action.resource, 0)].append(action)
    return [waves[height] for height in sorted(waves)]


def _keep_template(run: Run, user: Action, going: Container[ResourceId]) -> None:
    """Keep the template of what had to go and is still there."""
    failed, template = run.failed(user.resource), run.templates.get(user.resource)
    if failed and template in going and template and not run.failed(template):
        why = f"not deleted: target {user.resource}, which uses it as its template, is still there"
        run.end(template, failed.code, why)


async def _delete(run: Run, action: Action) -> None:
    await _delete_live(run, action)
    run.end(action.resource, ExitCode.OK)


async def _delete_live(run: Run, action: Action) -> None:
    if await _is_there_still(run, action):
        await run.api.delete_target(action.resource.repo, action.live_name)
        tell(run, EventKind.DELETED, action)
    run.keeper.forget(action.resource)


async def _is_there_still(run: Run, action: Action) -> bool:
    """Look again before a deletion: somebody may have replaced, since the plan, what must go.

    Raises ConflictError where it is not what the plan saw, UnreachableError where nobody knows.
    """
    id_ = live_address(action)
    planned, seen = run.observed.target(id_), await run.api.target(id_.repo, id_.name)
    if isinstance(seen, Absent):
        return False
    if not isinstance(planned, LiveTarget) or await _differs(run, id_, planned, seen):
        raise ConflictError(
            f"{id_} has changed since the plan was made, and was not deleted",
            hint="Run again: a new plan says whether it still has to go.",
        )
    return True


async def _differs(run: Run, id_: ResourceId, planned: LiveTarget, seen: LiveTarget) -> bool:
    if seen.config != planned.config:
        return True
    stages = [await run.api.stage(id_.repo, id_.name, stage) for stage in planned.stages]
    return any(map(_is_another, planned.stages.values(), stages))


def _is_another(planned: LiveStage | Unreadable, now: LiveStage) -> bool:
    """Say whether what a stage made is no longer what it was; that it goes on does not count."""
    if isinstance(planned, Unreadable):
        return False
    was_complete, is_complete = (seen.status == COMPLETE for seen in (planned, now))
    known = None not in {planned.lines, now.lines}
    return was_complete != is_complete or (is_complete and known and planned.lines != now.lines)
