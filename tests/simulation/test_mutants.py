"""The simulation bites: a reconciler that breaks a promise is caught.

Each mutant is the real one with a single safeguard taken out. It is hunted in a few storms, or at
the crash points of the reference.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from reconciler import lockfile
from reconciler.client import http
from reconciler.client.proxied import ProxiedTransport
from reconciler.core.errors import ApiError, UnreachableError
from reconciler.core.model.observed import Absent, LiveStage, LiveTarget, Observed, Unreadable
from reconciler.core.planning import compute, destruction, orphans
from reconciler.core.planning import record as recording
from reconciler.core.planning.stages import failed_attempts
from reconciler.engine import convergence, creation, deletion, executor, observer
from reconciler.engine import run as engine_run
from reconciler.engine.convergence import _Drive, _Subject
from reconciler.engine.keeper import Keeper
from reconciler.lockfile import Store, store
from reconciler.workflow.verbs import apply, destroy, planning, shared

from . import storms
from .client import Client
from .crash_points import crashed, deaths, reference
from .figures import FIGURES
from .process import Loss
from .storms import Case, breaks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.core.model.desired import Desired, Stage
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import SeenTarget
    from reconciler.core.model.plan import Plan

#: Storms within which a mutant must be caught.
STORMS = 120
ROUNDS = 10


def attempts_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Subject, "count_attempt", lambda self, stage: 2)
    patch.setattr(_Subject, "take_back_attempt", lambda self, stage: None)


def attempts_not_on_disk(patch: pytest.MonkeyPatch) -> None:
    """Counted, but only brought to disk when there is time."""
    count = Keeper.count_attempt

    def later(self: Keeper, id_: ResourceId, stage: Stage, attempts: int) -> None:
        flush, self.flush = self.flush, lambda **_: None  # type: ignore[method-assign]
        count(self, id_, stage, attempts)
        self.flush = flush  # type: ignore[method-assign]

    patch.setattr(Keeper, "count_attempt", later)


def unreadable_is_absent(patch: pytest.MonkeyPatch) -> None:
    async def attempt(call: Callable[..., Any], *args: object) -> Any:
        try:
            return await call(*args)
        except UnreachableError:
            nothing = {
                "stage": LiveStage(),
                "prompt_names": frozenset(),
                "target_names": frozenset(),
            }
            return nothing.get(call.__name__, Absent())

    patch.setattr(observer, "_attempt", attempt)


def no_gate_before_deletions(patch: pytest.MonkeyPatch) -> None:
    def allowed(plan: Plan, desired: Desired) -> Plan:
        return plan

    patch.setattr(apply, "refuse_destruction", allowed)
    patch.setattr(destroy, "refuse_destruction", allowed)


def any_number_of_deletions(patch: pytest.MonkeyPatch) -> None:
    def allowed(plan: Plan, most: int) -> Plan:
        return plan

    patch.setattr(planning, "refuse_many_deletions", allowed)


def protection_of_orphans_ignored(patch: pytest.MonkeyPatch) -> None:
    decide = orphans._pruning
    patch.setattr(
        orphans,
        "_pruning",
        lambda id_, locked, *rest: decide(id_, replace(locked, prevent_destroy=False), *rest),
    )


def budget_ignored(patch: pytest.MonkeyPatch) -> None:
    def allowed(plan: Plan, desired: Desired) -> Plan:
        return plan

    patch.setattr(compute, "within_budget", allowed)


def starts_on_hearsay(patch: pytest.MonkeyPatch) -> None:
    look = _Drive._look

    async def remembered(self: _Drive) -> LiveStage | None:
        return self._subject.known(self._stage) or await look(self)

    patch.setattr(_Drive, "_look", remembered)


def lost_answers_repeated(patch: pytest.MonkeyPatch) -> None:
    run = Client.run

    async def insisting(self: Client, repo: str, target: str, stage: Stage) -> LiveStage:
        try:
            return await run(self, repo, target, stage)
        except UnreachableError:
            return await run(self, repo, target, stage)

    patch.setattr(Client, "run", insisting)


def prompts_sent_on_hearsay(patch: pytest.MonkeyPatch) -> None:
    look = Client.prompt_names

    async def remembered(self: Client, repo: str) -> frozenset[str]:
        known = self._seen.listed.get(("prompt", repo))
        return await look(self, repo) if known is None else known

    patch.setattr(Client, "prompt_names", remembered)


def prompts_sent_without_asking_who_was_first(patch: pytest.MonkeyPatch) -> None:
    """All of them, whatever the listing of just now says."""
    look = creation._absent

    def all_of_them(run: Any, actions: Any, there: frozenset[str]) -> Any:
        return look(run, actions, frozenset())

    patch.setattr(creation, "_absent", all_of_them)


def lost_batches_repeated(patch: pytest.MonkeyPatch) -> None:
    """By the part that speaks HTTP, which cannot look at what has become of them."""
    call = http.Http.call

    async def insisting(self: http.Http, method: str, path: str, **how: Any) -> dict[str, Any]:
        return await call(self, method, path, **how | {"repeatable": True})

    patch.setattr(http.Http, "call", insisting)


def goes_on_without_credits(patch: pytest.MonkeyPatch) -> None:
    class NeverError(ApiError):
        pass

    patch.setattr(convergence, "PaymentRequiredError", NeverError)


def writes_without_need(patch: pytest.MonkeyPatch) -> None:
    """A lockfile with something in it that is another thing every time."""
    write, turn = Store.write, iter(range(10**9))
    patch.setattr(
        Store,
        "write",
        lambda self, lock: write(self, replace(lock, api_url=f"{lock.api_url}/?{next(turn)}")),
    )
    patch.setattr(shared, "read_lock", lambda store, _: store.read())


def attempts_counted_after_the_start(patch: pytest.MonkeyPatch) -> None:
    start = _Drive._start

    async def late(self: _Drive, seen: LiveStage, decision: Any) -> LiveStage | None:
        subject, stage = self._subject, self._stage
        with pytest.MonkeyPatch.context() as held:
            count, n = subject.count_attempt, failed_attempts(subject.attempts(stage)) + 1
            held.setattr(subject, "count_attempt", lambda stage: n)
            answer = await start(self, seen, decision)
        if seen.status == "failed":
            count(stage)
        return answer

    patch.setattr(_Drive, "_start", late)


def attempts_forgotten_by_the_next_run(patch: pytest.MonkeyPatch) -> None:
    record = recording.record

    def forgetful(*args: Any, **more: Any) -> Lock:
        lock = record(*args, **more)
        targets = {
            id_: replace(
                entry, stages={s: replace(seen, attempts=0) for s, seen in entry.stages.items()}
            )
            for id_, entry in lock.targets.items()
        }
        return replace(lock, targets=targets)

    patch.setattr(executor, "record", forgetful)


def destruction_spares_nothing(patch: pytest.MonkeyPatch) -> None:
    plan = destruction.compute_destruction

    def ruthless(desired: Desired, *args: Any, **more: Any) -> Plan:
        bare = {
            id_: replace(target, policy=replace(target.policy, prevent_destroy=False))
            for id_, target in desired.targets.items()
        }
        return plan(replace(desired, targets=bare), *args, **more)

    patch.setattr(destroy, "compute_destruction", ruthless)


def deletes_unread(patch: pytest.MonkeyPatch) -> None:
    """What could not be read is taken for what the lockfile says, and is deleted at one look."""
    known = Observed.target

    def credulous(self: Observed, id_: ResourceId) -> SeenTarget:
        seen = known(self, id_)
        return LiveTarget({}) if isinstance(seen, Unreadable) else seen

    async def trusting(*_: object) -> bool:
        return True

    patch.setattr(Observed, "target", credulous)
    patch.setattr(deletion, "_is_there_still", trusting)


def goes_on_after_its_time(patch: pytest.MonkeyPatch) -> None:
    begin = engine_run.Run.__post_init__

    def timeless(self: engine_run.Run) -> None:
        begin(self)
        self.timer = asyncio.timeout(None)

    patch.setattr(engine_run.Run, "__post_init__", timeless)


def run_lock_not_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lockfile, "hold", lambda *_: nullcontext())


def page_of_a_proxy_is_absence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(http, "_speaks_json", lambda response: True)


def key_follows_redirects(patch: pytest.MonkeyPatch) -> None:
    lane = ProxiedTransport._new_lane

    def trusting(self: ProxiedTransport) -> httpx.AsyncClient:
        client = lane(self)
        client.follow_redirects = True
        return client

    patch.setattr(ProxiedTransport, "_new_lane", trusting)
    patch.setattr(httpx.AsyncClient, "_redirect_headers", lambda _, request, *rest: request.headers)


def lockfile_written_in_place(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store, "replace_file", lambda path, content: path.write_text(content))


class _Without:
    """The module ``os``, in which one function does nothing."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: None) if name == self._name else getattr(os, name)


def lockfile_not_synced(patch: pytest.MonkeyPatch) -> None:
    synced = store._sync_directory
    patch.setattr(store, "os", _Without("fsync"))

    def still(directory: Path) -> None:
        with pytest.MonkeyPatch.context() as held:
            held.setattr(store, "os", os)
            synced(directory)

    patch.setattr(store, "_sync_directory", still)


def directory_not_synced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store, "_sync_directory", lambda directory: None)


#: What is said about a mutant that is caught: it must be caught for what it does.
IN_STORMS: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    attempts_not_counted: "before that was on disk",
    attempts_not_on_disk: "before that was on disk",
    attempts_counted_after_the_start: "before that was on disk",
    attempts_forgotten_by_the_next_run: "more often than the policy allows",
    unreadable_is_absent: "not seen to be absent",
    page_of_a_proxy_is_absence: "which was there all the time",
    no_gate_before_deletions: "without --allow-destroy",
    any_number_of_deletions: "beyond --max-deletions",
    protection_of_orphans_ignored: "which was protected",
    destruction_spares_nothing: "which is protected",
    deletes_unread: "which it could not read",
    budget_ignored: "beyond the budget",
    starts_on_hearsay: "going by what it saw",
    lost_answers_repeated: "without having looked",
    prompts_sent_on_hearsay: "without having listed",
    prompts_sent_without_asking_who_was_first: "some that it knows to be there",
    lost_batches_repeated: "that no listing had called for",
    goes_on_without_credits: "after the credits ran out",
    goes_on_after_its_time: "after the time was up",
    writes_without_need: "still no rest",
    run_lock_not_taken: "two runs work in one directory",
    key_follows_redirects: "the key went to elsewhere",
    lockfile_written_in_place: "neither the last one written nor the one being written",
}
#: Mutants of the client itself: a storm that does not go through it says nothing about them.
OF_THE_CLIENT = {page_of_a_proxy_is_absence, lost_batches_repeated, key_follows_redirects}
AT_CRASH_POINTS = (
    attempts_counted_after_the_start,
    lockfile_written_in_place,
    lockfile_not_synced,
    directory_not_synced,
)


def named(mutant: Callable[..., None]) -> str:
    return mutant.__name__


@pytest.mark.parametrize("mutant", IN_STORMS, ids=named)
def test_a_mutant_is_caught_in_storms(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    if mutant in OF_THE_CLIENT:
        monkeypatch.setattr(storms, "WIRED", 1.0)
    FIGURES.name("mutants", named(mutant))
    assert any(IN_STORMS[mutant] in breaks(Case(seed, ROUNDS)) for seed in range(STORMS))
    FIGURES.name("mutants caught", named(mutant))


@pytest.mark.parametrize("mutant", AT_CRASH_POINTS, ids=named)
def test_a_mutant_is_caught_at_a_crash_point(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with reference() as (acts, root):
        mutant(monkeypatch)
        FIGURES.name("mutants", named(mutant))
        found = [
            death
            for loss in (Loss.CONTENT, Loss.NAMES, Loss.NONE)
            for _, death in deaths(acts[0], loss)
        ]
        places = (root / str(number) for number in range(len(found)))
        assert any(crashed(next(places), 0, acts[0], death)[1] for death in found)
    FIGURES.name("mutants caught", named(mutant))
