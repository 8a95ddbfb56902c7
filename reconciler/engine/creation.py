"""Create what is missing, in dependency order, and delete what must go.

Every creation is idempotent at the API: the same thing twice is fine, another one is a conflict.
What fails takes only its dependants with it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from reconciler.core import normalize
from reconciler.core.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    ExitCode,
    PaymentRequiredError,
    UnreachableError,
)
from reconciler.core.model.events import Event, EventKind
from reconciler.core.model.lock import LockedPrompt, LockedRepo
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.observed import COMPLETE, Absent, LiveRepo, LiveTarget, Unreadable
from reconciler.core.model.plan import CREATES, Action, Verb
from reconciler.core.planning.record import locked_target
from reconciler.core.planning.resources import resolved
from reconciler.engine.run import Run, say
from reconciler.engine.tasks import for_each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from reconciler.core.model.desired import DesiredTarget
    from reconciler.core.model.observed import LiveStage

#: Targets in one batch call: few requests, and bodies far below any limit on their size.
BATCH = 50
_NOT_ABOUT_AN_ITEM = (AuthenticationError, PaymentRequiredError, UnreachableError)


async def create_all(run: Run) -> None:
    """Create repos, then prompts, then targets; failures end as outcomes."""
    todo = [action for action in run.plan.actions if action.stage is None]
    creations = [action for action in todo if action.verb in CREATES]
    for kind, create in ((Kind.REPO, _create_repo), (Kind.PROMPT, _create_prompt)):
        mine = [action for action in creations if action.kind is kind]
        await _each(run, mine, create)
    await _create_targets(run, [a for a in creations if a.kind is Kind.TARGET])
    await _each(run, [a for a in todo if a.verb is Verb.DELETE], _delete)


async def _each(
    run: Run, actions: Iterable[Action], act: Callable[[Run, Action], Awaitable[None]]
) -> None:
    async def guarded(action: Action) -> None:
        if not _hindered(run, action):
            await _guard(run, [action], act(run, action))

    await for_each(actions, guarded, limit=run.options.parallelism)


async def _guard(run: Run, actions: Sequence[Action], work: Awaitable[None]) -> None:
    """Turn an API error into outcomes; a refused key ends the run."""
    try:
        await work
    except AuthenticationError:
        raise
    except ApiError as error:
        credits_gone = isinstance(error, PaymentRequiredError)
        code = ExitCode.BLOCKED if credits_gone else ExitCode.ERROR
        run.out_of_credits = run.out_of_credits or (say(error) if credits_gone else "")
        for action in actions:
            run.end(action.resource, code, say(error))


async def _create_repo(run: Run, action: Action) -> None:
    repo = run.desired.repos[action.resource]
    await run.api.create_repo(repo.name, repo.base_model)
    # The API picks a base model where none is declared: ask, so that the lockfile holds the fact.
    seen = await run.api.repo(repo.name) if repo.base_model is None else None
    model = seen.base_model if isinstance(seen, LiveRepo) else repo.base_model
    run.keeper.put_repo(repo.id, LockedRepo(model))
    _tell(run, EventKind.CREATED, action)
    run.end(repo.id, ExitCode.OK)


async def _create_prompt(run: Run, action: Action) -> None:
    prompt = run.desired.prompts[action.resource]
    await run.api.create_prompt(prompt.repo, action.live_name, prompt.content)
    run.keeper.put_prompt(prompt.id, LockedPrompt(prompt.digest, action.live_name))
    _tell(run, EventKind.CREATED, action)
    run.end(prompt.id, ExitCode.OK)


async def _create_targets(run: Run, actions: Sequence[Action]) -> None:
    """Create targets a repo at a time, in the plan's order, so that templates come first."""
    await _each(run, [a for a in actions if a.verb is Verb.REPLACE], _delete_live)
    by_repo = groupby(sorted(actions, key=_repo_of), key=_repo_of)
    batches = [(repo, list(group)) for repo, group in by_repo]
    await for_each(
        batches, lambda batch: _create_in_repo(run, *batch), limit=run.options.parallelism
    )


async def _create_in_repo(run: Run, repo: str, actions: Sequence[Action]) -> None:
    for start in range(0, len(actions), BATCH):
        ready = [a for a in actions[start : start + BATCH] if not _hindered(run, a)]
        if len(ready) == 1:
            await _guard(run, ready, _create_target(run, ready[0]))
        elif ready:
            await _guard(run, ready, _create_batch(run, repo, ready))


async def _create_batch(run: Run, repo: str, actions: Sequence[Action]) -> None:
    items = [_item(run, action) for action in actions]
    try:
        failed = await run.api.create_targets(repo, items)
    except _NOT_ABOUT_AN_ITEM:
        raise
    except ApiError:
        # One item that conflicts refuses the whole batch: find out which, and create the others.
        await _create_singly(run, actions)
        return
    for action in actions:
        if action.live_name in failed:
            run.end(action.resource, ExitCode.ERROR, failed[action.live_name])
        else:
            _target_created(run, action)


async def _create_singly(run: Run, actions: Sequence[Action]) -> None:
    for action in actions:
        if not _hindered(run, action):
            await _guard(run, [action], _create_target(run, action))


async def _create_target(run: Run, action: Action) -> None:
    await run.api.create_target(action.resource.repo, _item(run, action))
    _target_created(run, action)


def _target_created(run: Run, action: Action) -> None:
    target = run.desired.targets[action.resource]
    live = LiveTarget(resolved(target.config, target.repo, run.plan.live_names))
    run.keeper.put_target(target.id, locked_target(target, action.live_name, live, None))
    _tell(run, EventKind.CREATED, action)


def _item(run: Run, action: Action) -> dict[str, Any]:
    target = run.desired.targets[action.resource]
    parent = _template_id(target)
    template = run.plan.live_names.get(parent, target.template) if parent else target.template
    overrides = resolved(target.overrides, target.repo, run.plan.live_names)
    return {"target_name": action.live_name, "template": template, "overrides": overrides}


async def _delete_live(run: Run, action: Action) -> None:
    if await _is_there_still(run, action):
        await run.api.delete_target(action.resource.repo, action.live_name)
        _tell(run, EventKind.DELETED, action)
    run.keeper.forget(action.resource)


async def _is_there_still(run: Run, action: Action) -> bool:
    """Look again before a deletion: somebody may have replaced, since the plan, what must go.

    Raises ConflictError where it is not what the plan saw, UnreachableError where nobody knows.
    """
    id_ = replace(action.resource, name=action.live_name)
    planned, seen = run.observed.targets.get(id_), await run.api.target(id_.repo, id_.name)
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
    was_complete, is_complete = (each.status == COMPLETE for each in (planned, now))
    known = None not in {planned.lines, now.lines}
    return was_complete != is_complete or (is_complete and known and planned.lines != now.lines)


async def _delete(run: Run, action: Action) -> None:
    await _delete_live(run, action)
    run.end(action.resource, ExitCode.OK)


def _hindered(run: Run, action: Action) -> bool:
    """Give up on a resource whose repo, prompt or template failed; return whether that is so."""
    if run.failed(action.resource):
        return True
    for id_ in _dependencies(run, action):
        failed = run.failed(id_)
        if failed:
            word = "blocked" if failed.code is ExitCode.BLOCKED else "failed"
            run.end(action.resource, failed.code, f"{id_.kind.lower()} {id_} {word}")
            return True
    return False


def _dependencies(run: Run, action: Action) -> Iterable[ResourceId]:
    repo = action.resource.repo
    if action.kind is not Kind.REPO:
        yield ResourceId(Kind.REPO, repo)
    target = run.desired.targets.get(action.resource)
    if target is None:
        return
    for name in normalize.PROMPT_FIELDS:
        if target.config.get(name):
            yield ResourceId(Kind.PROMPT, repo, target.config[name])
    parent = _template_id(target)
    if parent:
        yield parent


def _template_id(target: DesiredTarget) -> ResourceId | None:
    if target.template == normalize.DEFAULT_TEMPLATE:
        return None
    return ResourceId(Kind.TARGET, target.repo, target.template)


def _repo_of(action: Action) -> str:
    return action.resource.repo


def _tell(run: Run, kind: EventKind, action: Action) -> None:
    revised = action.live_name not in {action.resource.name, action.resource.repo}
    message = f"as {action.live_name}" if revised else ""
    run.emit(Event(kind, action.resource, message=message))
