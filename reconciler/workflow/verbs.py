"""plan, apply, status and refresh, on manifests that were read already.

What only some verbs need is imported by those: ``plan`` starts without what carries plans out.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from reconciler.core.errors import InvalidLockfileError, UnreachableError
from reconciler.core.limits import MAX_DELETIONS, PARALLELISM
from reconciler.core.planning import compute_plan
from reconciler.core.planning.destruction import compute_destruction
from reconciler.core.planning.gates import refuse_destruction, refuse_many_deletions
from reconciler.engine.observer import observe
from reconciler.lockfile import ConflictMarkersError, Store, hold
from reconciler.workflow.connection import (
    DEFAULT_URL,
    SystemClock,
    api_name,
    connect,
)
from reconciler.workflow.stopping import TAKER

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from typing import Any

    from reconciler.core.model.desired import Desired, Stage
    from reconciler.core.model.events import Event, Outcome, RunResult
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.outputs import Output, PullResult
    from reconciler.core.model.plan import Plan
    from reconciler.core.planning.report import StatusRow
    from reconciler.engine.run import RunOptions
    from reconciler.lockfile import Patience
    from reconciler.workflow.access import Access
    from reconciler.workflow.connection import Connection
    from reconciler.workflow.place import Place
    from reconciler.workflow.pulling.downloads import PullOptions, Watcher
    from reconciler.workflow.saved import Saved

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What shapes a plan. ``max_trajectories`` narrows the budget of the project."""

    prune: bool = False
    max_deletions: int = MAX_DELETIONS
    max_trajectories: int | None = None
    parallelism: int = PARALLELISM


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """What ``apply`` was asked for; ``timeout`` in seconds."""

    planning: PlanOptions = PlanOptions()
    wait: bool = True
    timeout: float | None = None
    allow_destroy: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """What ``status`` shows: every target, every stage, and the plan that would follow."""

    api_url: str
    rows: tuple[StatusRow, ...]
    plan: Plan


@dataclass(frozen=True, slots=True)
class Looked:
    """What it took to see live state. ``api_url`` is what the lockfile calls the API."""

    api_url: str
    requests: int
    seconds: float


def plan(
    place: Place,
    desired: Desired,
    access: Access,
    options: PlanOptions,
    *,
    warn: Callable[[str], object] | None = None,
) -> Plan:
    """Return what would have to happen; changes nothing. Tells ``warn`` which outputs are old."""
    lock = _read_lock(Store(place.lockfile), api_name(access, desired))
    with connect(place, access, desired) as connection:
        observed, _ = _run(_observe(connection, desired, lock, options.parallelism))
        planned = _planned(desired, observed, lock, connection.name, options)
        if warn:
            outputs = _Outputs(connection, place, options.parallelism, warn)
            outputs.tell(desired, observed, lock, planned)
        return planned


def offline_plan(place: Place, desired: Desired, options: PlanOptions) -> Plan:
    """Return what would have to happen if live state were what the lockfile says; needs no key."""
    from reconciler.core.planning.offline import compute_offline_plan

    lock = Store(place.lockfile).read()
    narrowed = _within(desired, options)
    name = lock.api_url if lock else (desired.api_url or DEFAULT_URL)
    found = compute_offline_plan(narrowed, lock, api_url=name, prune=options.prune)
    return refuse_many_deletions(found, options.max_deletions)


def status(
    place: Place,
    desired: Desired,
    access: Access,
    *,
    looked: Callable[[Looked], object] = lambda _: None,
) -> Status:
    """Return live lines against wanted lines; changes nothing. Tells ``looked`` what that took."""
    with contextlib.closing(statuses(place, desired, access, looked=looked)) as found:
        return next(found)


def statuses(
    place: Place,
    desired: Desired,
    access: Access,
    *,
    looked: Callable[[Looked], object] = lambda _: None,
) -> Generator[Status]:
    """Yield what ``status`` returns, looked at anew whenever the next one is asked for, for ever.

    The lockfile is read anew, too. What serves the API is kept running in between.
    """
    from reconciler.core.planning.report import report

    store, name = Store(place.lockfile), api_name(access, desired)
    lock = _read_lock(store, name)
    with connect(place, access, desired) as connection:
        while True:
            observed = _look(connection, desired, lock, looked)
            found = compute_plan(desired, observed, lock, api_url=name)
            yield Status(name, report(desired, observed, found), found)
            lock = _read_lock(store, name)


def refresh(
    place: Place,
    desired: Desired,
    access: Access,
    patience: Patience | None = None,
    *,
    looked: Callable[[Looked], object] = lambda _: None,
) -> bool:
    """Rewrite the lockfile from live state; return whether its bytes changed.

    A lockfile with conflict markers is rebuilt once all can be read, with what only its sides know;
    any other unusable one raises.
    What cannot be read keeps its old entry, and raises UnreachableError when all else is written.
    Tells ``looked`` what it took to see live state.
    """
    from reconciler.core.planning.record import record

    store = Store(place.lockfile)
    name = api_name(access, desired)
    with hold(place.root, patience):
        lock, is_torn = _read_or_salvage(store, name, desired)
        with connect(place, access, desired) as connection:
            observed = _look(connection, desired, lock, looked)
        found = record(desired, observed, lock, api_url=name)
        planned = compute_plan(desired, observed, lock, api_url=name)
        # Nothing takes the place of what cannot be read, or of a file that was never there.
        is_worse = planned.unknown and (is_torn or (lock is None and not found.ids()))
        changed = not is_worse and store.write(found)
        _require_all_read(planned)
        return changed


def _read_or_salvage(store: Store, api_url: str, desired: Desired) -> tuple[Lock | None, bool]:
    """Return what the lockfile records, and whether it has conflict markers."""
    try:
        return _read_lock(store, api_url), False
    except ConflictMarkersError as error:
        from reconciler.lockfile.merge import salvage

        digests = {id_: prompt.digest for id_, prompt in desired.prompts.items()}
        digests |= {id_: target.digest for id_, target in desired.targets.items()}
        return salvage(error.text, api_url, digests), True


def _require_all_read(found: Plan) -> None:
    if not found.unknown:
        return
    first, *others = found.unknown
    more = f" (and {len(others)} more)" if others else ""
    raise UnreachableError(
        f"{first.resource}: {first.why}{more}",
        hint="The lockfile keeps what it said of what could not be read; run `refresh` again.",
    )


def apply(
    place: Place,
    desired: Desired,
    access: Access,
    options: ApplyOptions,
    *,
    confirm: Callable[[Plan], bool],
    emit: Callable[[Event], None],
    saved: Saved | None = None,
    patience: Patience | None = None,
    warn: Callable[[str], object] | None = None,
) -> RunResult:
    """Close the gap, wait, write the lockfile; return how that ended.

    ``confirm`` is shown the plan before anything happens, and may decline; before that, ``warn`` is
    told which outputs are old. With a ``saved`` plan, raises StalePlanError unless exactly that
    would be done. An interrupt leaves everything known in the lockfile.
    """
    from reconciler.core.model.events import RunResult
    from reconciler.engine.run import RunOptions

    store = Store(place.lockfile)
    name = api_name(access, desired)
    with hold(place.root, patience), connect(place, access, desired) as connection:
        lock = _read_lock(store, name)
        observed, looked = _run(_observe(connection, desired, lock, options.planning.parallelism))
        planned = _planned(desired, observed, lock, name, options.planning)
        if saved:
            from reconciler.workflow.saved import require_same

            require_same(saved, planned)
        if warn:
            outputs = _Outputs(connection, place, options.planning.parallelism, warn)
            looked += outputs.tell(desired, observed, lock, planned)
        if not options.allow_destroy:
            planned = refuse_destruction(planned, desired)
        if not confirm(planned):
            return RunResult((), declined=True)
        how = RunOptions(
            connection.pace,
            options.planning.parallelism,
            options.wait,
            options.timeout,
            forget_orphans=options.planning.prune,
        )
        work = _Work(connection, desired, observed, lock, planned, store, emit, how)
        return work.carried_out(looked)


def destroy(
    place: Place,
    desired: Desired,
    access: Access,
    *,
    allow_destroy: bool,
    confirm: Callable[[Plan], bool],
    emit: Callable[[Event], None],
    patience: Patience | None = None,
) -> RunResult:
    """Delete the declared targets in scope; return how that ended.

    Nothing is deleted unless ``allow_destroy`` is given and ``policy.prevent_destroy`` is false.
    """
    from reconciler.core.model.events import RunResult
    from reconciler.engine.run import RunOptions

    store = Store(place.lockfile)
    name = api_name(access, desired)
    with hold(place.root, patience), connect(place, access, desired) as connection:
        lock = _read_lock(store, name)
        observed, looked = _run(_observe(connection, desired, lock))
        planned = compute_destruction(desired, observed, lock, api_url=name)
        if not allow_destroy:
            planned = refuse_destruction(planned, desired)
        if not confirm(planned):
            return RunResult((), declined=True, destruction=True)
        # With nothing declared there is nothing to converge: only what the plan says happens.
        nothing = replace(desired, repos={}, prompts={}, targets={}, max_new_trajectories=None)
        how = RunOptions(connection.pace)
        work = _Work(connection, nothing, observed, lock, planned, store, emit, how)
        return work.carried_out(looked)


def pull(
    place: Place,
    desired: Desired,
    access: Access,
    options: PullOptions,
    watcher: Watcher,
    patience: Patience | None = None,
) -> PullResult:
    """Download outputs and record their digests; return how it went with each.

    An interrupt leaves what was downloaded so far, from which the next time goes on.
    """
    from reconciler.workflow.pulling import downloads

    store = Store(place.lockfile)
    name = api_name(access, desired)
    with hold(place.root, patience), connect(place, access, desired) as connection:
        lock = _read_lock(store, name)
        return _run(downloads.pull(connection, place.root, desired, lock, store, options, watcher))


def check_outputs(
    place: Place, desired: Desired, access: Access, stages: tuple[Stage, ...], watcher: Watcher
) -> PullResult:
    """Compare live outputs with the digests recorded; changes nothing."""
    from reconciler.workflow.pulling import downloads

    lock = _read_lock(Store(place.lockfile), api_name(access, desired))
    with connect(place, access, desired) as connection:
        return _run(downloads.check(connection, desired, lock, stages, watcher))


def _planned(
    desired: Desired, observed: Observed, lock: Lock | None, api_url: str, options: PlanOptions
) -> Plan:
    found = compute_plan(
        _within(desired, options), observed, lock, api_url=api_url, prune=options.prune
    )
    return refuse_many_deletions(found, options.max_deletions)


def _within(desired: Desired, options: PlanOptions) -> Desired:
    """Narrow the budget of the project by that of the command line."""
    budget, limit = desired.max_new_trajectories, options.max_trajectories
    if limit is None or (budget is not None and budget <= limit):
        return desired
    return replace(desired, max_new_trajectories=limit, limited_by="--max-trajectories")


async def _observe(
    connection: Connection, desired: Desired, lock: Lock | None, parallelism: int = PARALLELISM
) -> tuple[Observed, int]:
    """Return live state, and the number of requests it took."""
    most = _most(connection, parallelism)
    async with connection.open() as api:
        return await observe(desired, lock, api, parallelism=most), api.http.requests


def _most(connection: Connection, parallelism: int) -> int:
    """Return how many tasks may ask at once: more than there are requests would only wait."""
    return min(parallelism, connection.settings.concurrency)


def _look(
    connection: Connection,
    desired: Desired,
    lock: Lock | None,
    looked: Callable[[Looked], object],
) -> Observed:
    clock = SystemClock()
    began = clock.now()
    observed, requests = _run(_observe(connection, desired, lock))
    looked(Looked(connection.name, requests, clock.now() - began))
    return observed


@dataclass(frozen=True, slots=True)
class _Outputs:
    """What it takes to tell which outputs that were pulled live data has left behind."""

    connection: Connection
    place: Place
    parallelism: int
    warn: Callable[[str], object]

    def tell(self, desired: Desired, observed: Observed, lock: Lock | None, planned: Plan) -> int:
        """Tell it; return the number of requests it took."""
        from reconciler.core.planning.outputs_pulled import comparable, outdated

        for text in outdated(desired, observed, lock):
            self.warn(text)
        return self._compare(comparable(desired, observed, lock, planned))

    def _compare(self, outputs: tuple[Output, ...]) -> int:
        from reconciler.workflow.pulling import DIRECTORY

        if not outputs or not (self.place.root / DIRECTORY).is_dir():
            return 0
        from reconciler.core.planning.outputs_pulled import differing
        from reconciler.workflow.pulling import comparing

        known = comparing.tails(self.place.root, outputs)
        if not known:
            return 0
        most = _most(self.connection, self.parallelism)
        looks, requests = _run(comparing.look(self.connection, known, parallelism=most))
        for text in differing(comparing.judged(self.place.root, known, looks)):
            self.warn(text)
        return requests


@dataclass(frozen=True, slots=True)
class _Work:
    """A plan that was confirmed, and all it takes to carry it out."""

    connection: Connection
    desired: Desired
    observed: Observed
    lock: Lock | None
    plan: Plan
    store: Store
    emit: Callable[[Event], None]
    options: RunOptions

    def carried_out(self, looked: int) -> RunResult:
        """Carry the plan out; ``looked`` requests were needed to make it."""
        from reconciler.core.model.events import RunResult

        try:
            outcomes, requests = _run(self._execute())
        except KeyboardInterrupt:
            return RunResult((), interrupted=True)
        return RunResult(outcomes, requests=looked + requests, destruction=self.plan.destruction)

    async def _execute(self) -> tuple[tuple[Outcome, ...], int]:
        from reconciler.engine.executor import execute

        async with self.connection.open() as api:
            outcomes = await execute(
                self.desired,
                self.observed,
                self.lock,
                self.plan,
                api=api,
                writer=self.store,
                clock=SystemClock(),
                emit=self.emit,
                options=self.options,
            )
            return outcomes, api.http.requests


def _read_lock(store: Store, api_url: str) -> Lock | None:
    lock = store.read()
    if lock is not None and lock.api_url != api_url:
        raise InvalidLockfileError(
            f"{store.path} records {lock.api_url}, but this run speaks to {api_url}",
            hint="Point --lockfile at another file for another API, or delete this one and run "
            "`reconciler refresh`.",
        )
    return lock


def _run(work: Coroutine[Any, Any, Value]) -> Value:
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
