"""What creating and deleting share: acting on one resource after another, and how that ends.

An error of the API ends the resources that it befell, and what fails takes its dependants with it;
a refused key ends the run as well. Never decides what is to be done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.equality import normalize
from reconciler.core.errors import ApiError, AuthenticationError, ExitCode, PaymentRequiredError
from reconciler.core.model.events import Event, EventKind
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.engine.run import say
from reconciler.engine.tasks import for_each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from reconciler.core.model.plan import Action
    from reconciler.engine.run import Run


async def each(
    run: Run, actions: Iterable[Action], act: Callable[[Run, Action], Awaitable[None]]
) -> None:
    """Act on several resources, each by itself."""

    async def guarded(action: Action) -> None:
        if not gives_up(run, action):
            await guard(run, [action], act(run, action))

    await for_each(actions, guarded, limit=run.options.parallelism)


async def guard(run: Run, actions: Sequence[Action], work: Awaitable[None]) -> None:
    """Do work that these actions need; an error of the API ends them all, a refused key the run."""
    try:
        await work
    except AuthenticationError as error:
        run.is_broken_off = True
        for action in actions:
            run.end(action.resource, error.exit_code, say(error))
        raise
    except ApiError as error:
        credits_gone = isinstance(error, PaymentRequiredError)
        code = ExitCode.BLOCKED if credits_gone else ExitCode.ERROR
        run.out_of_credits = run.out_of_credits or (say(error) if credits_gone else "")
        for action in actions:
            run.end(action.resource, code, say(error))


def gives_up(run: Run, action: Action) -> bool:
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


def _dependencies(run: Run, action: Action) -> Iterator[ResourceId]:
    repo = action.resource.repo
    if action.kind is not Kind.REPO:
        yield ResourceId(Kind.REPO, repo)
    target = run.desired.targets.get(action.resource)
    if target is None:
        return
    for name in filter(None, map(target.config.get, normalize.PROMPT_FIELDS)):
        yield ResourceId(Kind.PROMPT, repo, name)
    if target.parent:
        yield target.parent


def tell(run: Run, kind: EventKind, action: Action) -> None:
    """Tell what became of the resource of an action, and under which name if not its own."""
    revised = action.live_name not in {action.resource.name, action.resource.repo}
    message = f"as {action.live_name}" if revised else ""
    run.emit(Event(kind, action.resource, message=message))
