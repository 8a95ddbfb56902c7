"""Create what is missing, in dependency order, and delete what must go.

Creating one thing is idempotent at the API: the same thing twice is fine, another one is a
conflict. The call for several prompts replaces what is there instead, so that it gets only what a
listing of that very moment lacks. What fails takes only its dependants with it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from reconciler.core.equality import normalize
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
from reconciler.engine.batches import in_batches
from reconciler.engine.run import Run, say
from reconciler.engine.tasks import for_each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence

    from reconciler.core.model.desired import DesiredTarget
    from reconciler.core.model.observed import LiveStage

#: What one batch call holds at most: items, and bytes of them as JSON.
BATCH = 200
BATCH_BYTES = 4_000_000
#: So few prompts of a repo are created singly, which can replace nothing; a batch of targets that
#: is refused is halved until it holds no more.
FEW = 8
#: How often a batch of prompts is sent that gets no answer, and the seconds in between.
TRIES = 3
PAUSE = 1.0
_ABOUT_ALL = (AuthenticationError, PaymentRequiredError)


async def create_all(run: Run) -> None:
    """Create repos, then prompts, then targets; failures end as outcomes."""
    todo = [action for action in run.plan.actions if action.stage is None]
    creations = [action for action in todo if action.verb in CREATES]
    await _each(run, [a for a in creations if a.kind is Kind.REPO], _create_repo)
    await _create_prompts(run, [a for a in creations if a.kind is Kind.PROMPT])
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


async def _create_prompts(run: Run, actions: Sequence[Action]) -> None:
    """Create many prompts of a repo in batches, and singly all for which that is not the way."""
    ready = [a for a in actions if not _hindered(run, a)]
    singly = [a for a in ready if not _fits_a_batch(run, a)]
    fit = _by_repo(a for a in ready if _fits_a_batch(run, a))
    batches = [batch for _, group in fit for batch in _prompt_batches(run, group)]

    async def create(batch: Sequence[Action]) -> None:
        left = batch if len(batch) <= FEW else await _create_prompt_batch(run, batch)
        singly.extend(left)

    await for_each(
        batches, lambda batch: _guard(run, batch, create(batch)), limit=run.options.parallelism
    )
    await _each(run, singly, _create_prompt)


async def _create_prompt_batch(
    run: Run, actions: Sequence[Action], tries: int = TRIES
) -> Sequence[Action]:
    """Create prompts of one repo that are still absent; return those to be created singly.

    What is there by now may be another's: only the single call tells, and replaces nothing.
    """
    repo = actions[0].resource.repo
    absent = _absent(run, actions, await run.api.prompt_names(repo))
    if len(absent) <= FEW:
        return actions
    try:
        verdicts = await run.api.create_prompts(repo, absent)
    except _ABOUT_ALL:
        raise
    except UnreachableError:
        if tries <= 1:
            raise
        await run.clock.sleep(PAUSE)
        return await _create_prompt_batch(run, actions, tries - 1)
    except ApiError:
        return actions
    heard = {name: why for name, why in verdicts.items() if name in absent}
    return [a for a in actions if not _heed(run, a, heard, _prompt_created)]


def _absent(run: Run, actions: Sequence[Action], there: Container[str]) -> dict[str, Any]:
    """Return the messages of each prompt that is not there, by its live name."""
    return {a.live_name: _messages(run, a) for a in actions if a.live_name not in there}


async def _create_prompt(run: Run, action: Action) -> None:
    prompt = run.desired.prompts[action.resource]
    await run.api.create_prompt(prompt.repo, action.live_name, prompt.content)
    _prompt_created(run, action)


def _prompt_created(run: Run, action: Action) -> None:
    prompt = run.desired.prompts[action.resource]
    run.keeper.put_prompt(prompt.id, LockedPrompt(prompt.digest, action.live_name))
    _tell(run, EventKind.CREATED, action)
    run.end(prompt.id, ExitCode.OK)


def _fits_a_batch(run: Run, action: Action) -> bool:
    """Say whether a prompt holds nothing but messages, for a batch carries no tools."""
    content = run.desired.prompts[action.resource].content
    return {key for key, value in content.items() if value is not None} == {"messages"}


def _prompt_batches(run: Run, actions: Iterable[Action]) -> list[list[Action]]:
    def body(action: Action) -> object:
        return {action.live_name: _messages(run, action)}

    return in_batches(actions, body, most=BATCH, largest=BATCH_BYTES)


def _messages(run: Run, action: Action) -> Any:
    return run.desired.prompts[action.resource].content["messages"]


def _heed(
    run: Run,
    action: Action,
    verdicts: Mapping[str, str | None],
    created: Callable[[Run, Action], None],
) -> bool:
    """Note what the API says of an item of a batch; return whether it says anything."""
    if action.live_name not in verdicts:
        return False
    why = verdicts[action.live_name]
    if why is None:
        created(run, action)
    else:
        run.end(action.resource, ExitCode.ERROR, why)
    return True


async def _create_targets(run: Run, actions: Sequence[Action]) -> None:
    """Create targets a repo at a time, in the plan's order, so that templates come first."""
    await _each(run, [a for a in actions if a.verb is Verb.REPLACE], _delete_live)
    await for_each(
        _by_repo(actions), lambda part: _create_in_repo(run, *part), limit=run.options.parallelism
    )


async def _create_in_repo(run: Run, repo: str, actions: Sequence[Action]) -> None:
    batches = in_batches(actions, lambda a: _item(run, a), most=BATCH, largest=BATCH_BYTES)
    for batch in batches:
        await _create_in_order(run, repo, batch)


async def _create_in_order(run: Run, repo: str, actions: Sequence[Action]) -> None:
    ready = [a for a in actions if not _hindered(run, a)]
    if len(ready) == 1:
        await _guard(run, ready, _create_target(run, ready[0]))
    elif ready:
        await _guard(run, ready, _create_batch(run, repo, ready))


async def _create_batch(run: Run, repo: str, actions: Sequence[Action]) -> None:
    items = [_item(run, action) for action in actions]
    try:
        verdicts = await run.api.create_targets(repo, items)
    except (*_ABOUT_ALL, UnreachableError):
        raise
    except ApiError:
        # One item that conflicts refuses the whole batch: find out which, and create the others.
        await _create_apart(run, repo, actions)
        return
    await _create_singly(run, [a for a in actions if not _heed(run, a, verdicts, _target_created)])


async def _create_apart(run: Run, repo: str, actions: Sequence[Action]) -> None:
    """Create what was refused together: in two halves, or singly once these are few."""
    if len(actions) <= FEW:
        await _create_singly(run, actions)
        return
    middle = len(actions) // 2
    for half in (actions[:middle], actions[middle:]):
        await _create_in_order(run, repo, half)


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


def _by_repo(actions: Iterable[Action]) -> list[tuple[str, list[Action]]]:
    def repo_of(action: Action) -> str:
        return action.resource.repo

    return [(repo, list(group)) for repo, group in groupby(sorted(actions, key=repo_of), repo_of)]


def _tell(run: Run, kind: EventKind, action: Action) -> None:
    revised = action.live_name not in {action.resource.name, action.resource.repo}
    message = f"as {action.live_name}" if revised else ""
    run.emit(Event(kind, action.resource, message=message))
