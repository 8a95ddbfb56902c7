"""The simulation bites: a reconciler that breaks a rule is caught within a few storms.

Each mutant is the real one with a single safeguard taken out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.errors import ApiError, UnreachableError
from reconciler.core.model.observed import Absent, LiveStage
from reconciler.core.planning import compute, orphans
from reconciler.engine import convergence, observer
from reconciler.engine.convergence import _Drive, _Subject
from reconciler.engine.keeper import Keeper
from reconciler.lockfile import Store
from reconciler.workflow import verbs

from .cron import BrokenError, live
from .watched import WatchedApi

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.core.model.desired import Desired, Stage
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.plan import Plan

#: Storms within which a mutant must be caught.
STORMS = 60
RUNS = 14


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

    patch.setattr(verbs, "refuse_destruction", allowed)


def any_number_of_deletions(patch: pytest.MonkeyPatch) -> None:
    def allowed(plan: Plan, most: int) -> Plan:
        return plan

    patch.setattr(verbs, "refuse_many_deletions", allowed)


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
    run = WatchedApi.run

    async def insisting(self: WatchedApi, repo: str, target: str, stage: Stage) -> LiveStage:
        try:
            return await run(self, repo, target, stage)
        except UnreachableError:
            return await run(self, repo, target, stage)

    patch.setattr(WatchedApi, "run", insisting)


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
    patch.setattr(verbs, "_read_lock", lambda store, _: store.read())


MUTANTS = (
    attempts_not_counted,
    attempts_not_on_disk,
    unreadable_is_absent,
    no_gate_before_deletions,
    any_number_of_deletions,
    protection_of_orphans_ignored,
    budget_ignored,
    starts_on_hearsay,
    lost_answers_repeated,
    goes_on_without_credits,
    writes_without_need,
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_caught(
    mutant: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in range(STORMS):
        root = tmp_path / str(seed)
        root.mkdir()
        with monkeypatch.context() as patch:
            try:
                live(seed, root, patch, RUNS)
            except BrokenError:
                return
    pytest.fail(f"not caught in {STORMS} storms")
