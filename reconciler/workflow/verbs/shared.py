"""What verbs have in common: the lockfile of the right API, a look at live state, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from reconciler.core import durations
from reconciler.core.errors import AuthenticationError, InvalidLockfileError, UnreachableError
from reconciler.core.limits import PARALLELISM
from reconciler.core.urls import normalised
from reconciler.engine.observer import observe as observe_all
from reconciler.workflow import connection, stopping
from reconciler.workflow.stopping import TAKER

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.observed import Observed
    from reconciler.lockfile import Store
    from reconciler.workflow.connection import Connection

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Looked:
    """What it took to see live state. ``api_url`` is what the lockfile calls the API."""

    api_url: str
    requests: int
    seconds: float


def read_lock(store: Store, api_url: str) -> Lock | None:
    """Return what the lockfile records, which must be of this API; raises InvalidLockfileError."""
    lock = store.read()
    require_this_api(store, lock, api_url)
    return lock


def require_this_api(store: Store, lock: Lock | None, api_url: str) -> None:
    """Raise InvalidLockfileError for what a lockfile records of another API."""
    if lock and is_of_another_api(lock, api_url):
        raise InvalidLockfileError(
            f"{store.path} records {lock.api_url}, but this run speaks to {api_url}",
            hint="Point --lockfile at another file for another API, or delete this one and run "
            "`reconciler refresh`.",
        )


def is_of_another_api(lock: Lock | None, api_url: str) -> bool:
    """Tell whether a lockfile records another API, however its address is written."""
    return lock is not None and normalised(lock.api_url) != api_url


async def observe_within(
    seconds: float | None, api: Connection, desired: Desired, lock: Lock | None, parallelism: int
) -> tuple[Observed, int]:
    """Return what ``observe`` does; raises UnreachableError where that takes too long."""
    try:
        async with asyncio.timeout(seconds):
            return await observe(api, desired, lock, parallelism)
    except TimeoutError:
        text = f"live state could not be read within {durations.text(seconds or 0.0)}"
        hint = "Nothing was changed. Run it again later, or with a longer --timeout."
        raise UnreachableError(text, hint=hint) from None


async def observe(
    api: Connection, desired: Desired, lock: Lock | None, parallelism: int = PARALLELISM
) -> tuple[Observed, int]:
    """Return live state, and the number of requests it took."""
    most, so_far = most_at_once(api, parallelism), stopping.so_far()
    async with api.open() as session:
        with so_far.counting(session.http):
            try:
                seen = await observe_all(desired, lock, session, parallelism=most)
            except AuthenticationError as error:
                so_far.failed(desired.ids(), error)
                raise
        return seen, session.http.requests


def most_at_once(api: Connection, parallelism: int) -> int:
    """Return how many tasks may ask at once: more than there are requests would only wait."""
    return min(parallelism, api.settings.concurrency)


def look(
    api: Connection,
    desired: Desired,
    lock: Lock | None,
    looked: Callable[[Looked], object],
) -> Observed:
    """Return live state, and tell ``looked`` what it took to see it."""
    clock = connection.SystemClock()
    began = clock.now()
    observed, requests = run(observe(api, desired, lock))
    looked(Looked(api.name, requests, clock.now() - began))
    return observed


def run(work: Coroutine[Any, Any, Value]) -> Value:
    """Run to the end; SIGTERM ends a run as cleanly as an interrupt does.

    Unless somebody else looks after signals: then whenever that one says so.
    """
    # Not the result of the task, of which asyncio.run would make a text, however large it is:
    # it asks for the handler of signals, which names the task in an error that nobody sees.
    found: list[Value] = []

    async def guarded() -> None:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):
            taker = TAKER.get()
            if task and taker:
                taker(partial(loop.call_soon_threadsafe, task.cancel))
            elif task:
                loop.add_signal_handler(signal.SIGTERM, task.cancel)
        found.append(await work)

    try:
        asyncio.run(guarded())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    return found[0]
