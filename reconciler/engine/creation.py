"""Create what is missing, in dependency order.

Creating one thing is idempotent at the API: the same thing twice is fine, another one is a
conflict. The call for several prompts replaces what is there instead, so that it gets only what a
listing of that very moment lacks.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from reconciler.core.errors import (
    ApiError,
    AuthenticationError,
    ExitCode,
    PaymentRequiredError,
    UnreachableError,
)
from reconciler.core.model.events import EventKind
from reconciler.core.model.lock import LockedPrompt, LockedRepo
from reconciler.core.model.manifest import Kind
from reconciler.core.model.observed import LiveRepo, LiveTarget
from reconciler.core.model.plan import CREATES, Verb
from reconciler.core.planning.record import locked_target
from reconciler.core.planning.resources import resolved
from reconciler.engine.acting import each, gives_up, guard, tell
from reconciler.engine.batches import in_batches
from reconciler.engine.deletion import delete_replaced
from reconciler.engine.tasks import for_each

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from reconciler.core.model.plan import Action
    from reconciler.engine.run import Run

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
    creations = [a for a in run.plan.actions if a.stage is None and a.verb in CREATES]
    await each(run, [a for a in creations if a.kind is Kind.REPO], _create_repo)
    await _create_prompts(run, [a for a in creations if a.kind is Kind.PROMPT])
    await _create_targets(run, [a for a in creations if a.kind is Kind.TARGET])


async def _create_repo(run: Run, action: Action) -> None:
    repo = run.desired.repos[action.resource]
    await run.api.create_repo(repo.name, repo.base_model)
    # The API picks a base model where none is declared: ask, so that the lockfile holds the fact.
    seen = await run.api.repo(repo.name) if repo.base_model is None else None
    model = seen.base_model if isinstance(seen, LiveRepo) else repo.base_model
    run.keeper.put_repo(repo.id, LockedRepo(model))
    tell(run, EventKind.CREATED, action)
    run.end(repo.id, ExitCode.OK)


async def _create_prompts(run: Run, actions: Sequence[Action]) -> None:
    """Create many prompts of a repo in batches, and singly all for which that is not the way."""
    ready = [a for a in actions if not gives_up(run, a)]
    singly = [a for a in ready if not _fits_a_batch(run, a)]
    fit = _by_repo(a for a in ready if _fits_a_batch(run, a))
    batches = [batch for _, group in fit for batch in _prompt_batches(run, group)]

    async def create(batch: Sequence[Action]) -> None:
        left = batch if len(batch) <= FEW else await _create_prompt_batch(run, batch)
        singly.extend(left)

    await for_each(
        batches, lambda batch: guard(run, batch, create(batch)), limit=run.options.parallelism
    )
    await each(run, singly, _create_prompt)


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
    tell(run, EventKind.CREATED, action)
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
    await delete_replaced(run, [a for a in actions if a.verb is Verb.REPLACE])
    await for_each(
        _by_repo(actions), lambda part: _create_in_repo(run, *part), limit=run.options.parallelism
    )


async def _create_in_repo(run: Run, repo: str, actions: Sequence[Action]) -> None:
    batches = in_batches(actions, lambda a: _item(run, a), most=BATCH, largest=BATCH_BYTES)
    for batch in batches:
        await _create_in_order(run, repo, batch)


async def _create_in_order(run: Run, repo: str, actions: Sequence[Action]) -> None:
    ready = [a for a in actions if not gives_up(run, a)]
    if len(ready) == 1:
        await guard(run, ready, _create_target(run, ready[0]))
    elif ready:
        await guard(run, ready, _create_batch(run, repo, ready))


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
        if not gives_up(run, action):
            await guard(run, [action], _create_target(run, action))


async def _create_target(run: Run, action: Action) -> None:
    await run.api.create_target(action.resource.repo, _item(run, action))
    _target_created(run, action)


def _target_created(run: Run, action: Action) -> None:
    target = run.desired.targets[action.resource]
    live = LiveTarget(resolved(target.config, target.repo, run.plan.live_names))
    run.keeper.put_target(target.id, locked_target(target, action.live_name, live, None))
    run.made.add(target.id)
    tell(run, EventKind.CREATED, action)


def _item(run: Run, action: Action) -> dict[str, Any]:
    target = run.desired.targets[action.resource]
    live_names, parent = run.plan.live_names, target.parent
    template = live_names.get(parent, target.template) if parent else target.template
    overrides = resolved(target.overrides, target.repo, live_names)
    return {"target_name": action.live_name, "template": template, "overrides": overrides}


def _by_repo(actions: Iterable[Action]) -> list[tuple[str, list[Action]]]:
    def repo_of(action: Action) -> str:
        return action.resource.repo

    return [(repo, list(group)) for repo, group in groupby(sorted(actions, key=repo_of), repo_of)]
