"""Observing: as few requests as that takes, and never a guess about what could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_api import NEVER_ENDS, FakeApi
from virtual_time import virtual

from reconciler.core.errors import (
    ApiError,
    AuthenticationError,
    ExitCode,
    PaymentRequiredError,
    UnreachableError,
)
from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedTarget
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.observed import Absent, LiveStage, LiveTarget, Unreadable
from reconciler.engine.observer import observe

from .support import API_URL, REPO, World, declare, prompt, stim_only, target, target_id

if TYPE_CHECKING:
    from collections.abc import Iterable

DOWN = UnreachableError("GET /v1/…: 503: Service Unavailable")
NAMES = [f"t{number}" for number in range(20)]


async def converged_world(*names: str) -> World:
    world = World()
    ran = await world.apply(*(target(name) for name in names))
    assert ran.code is ExitCode.OK
    world.api.calls.clear()
    return world


def counted(api: FakeApi) -> dict[str, int]:
    names = [call.name for call in api.calls]
    return {name: names.count(name) for name in dict.fromkeys(names)}


@virtual
async def test_a_converged_target_costs_three_requests() -> None:
    world = await converged_world(*NAMES)
    await observe(declare(*map(target, NAMES)), None, world.api)
    assert counted(world.api) == {
        "repo": 1,
        "prompt_names": 1,
        "target_names": 1,
        "prompt": 1,
        "target": len(NAMES),
        "stage": 2 * len(NAMES),
    }


@virtual
async def test_listings_come_before_single_resources() -> None:
    world = await converged_world("a")
    await observe(declare(target("a"), target("missing"), prompt("new")), None, world.api)
    order = [call.name for call in world.api.calls]
    last_listing = max(order.index("prompt_names"), order.index("target_names"))
    assert last_listing < min(order.index("prompt"), order.index("target"))
    assert not world.api.asked("target", "missing")
    assert not world.api.asked("prompt", "new")


@virtual
async def test_of_an_absent_repo_nothing_more_is_asked() -> None:
    world = World()
    seen = await observe(declare(target("a")), None, world.api)
    assert [str(call) for call in world.api.calls] == ["repo r"]
    assert seen.repos[REPO] == Absent()
    assert seen.target(target_id("a")) == Absent()
    assert seen.prompt(ResourceId(Kind.PROMPT, REPO, "p")) == Absent()


@virtual
async def test_the_rollout_is_asked_for_only_once_stim_is_complete() -> None:
    world = World()
    world.api.plays("a", Stage.STIM, NEVER_ENDS)
    await world.apply(target("a"), wait=False)
    world.api.calls.clear()
    seen = await observe(declare(target("a")), None, world.api)
    assert [call.of[-1] for call in world.api.asked("stage")] == ["stim"]
    live = seen.targets[target_id("a")]
    assert isinstance(live, LiveTarget)
    assert live.stages == {Stage.STIM: LiveStage("running")}


@virtual
async def test_a_rollout_that_is_not_wanted_is_not_asked_for() -> None:
    world = World()
    await world.apply(stim_only("a"))
    world.api.calls.clear()
    await observe(declare(stim_only("a")), None, world.api)
    assert [call.of[-1] for call in world.api.asked("stage")] == ["stim"]


@virtual
async def test_an_orphaned_target_is_looked_at_under_its_live_name() -> None:
    world = await converged_world("old-12345678")
    entry = LockedTarget("sha256:" + "0" * 64, "old-12345678")
    lock = Lock(API_URL, targets={target_id("old"): entry})
    seen = await observe(declare(), lock, world.api)
    assert isinstance(seen.targets[target_id("old-12345678")], LiveTarget)


@pytest.mark.parametrize("call", ["repo", "target_names", "target", "stage"])
@virtual
async def test_what_cannot_be_read_is_not_taken_for_absent(call: str) -> None:
    world = await converged_world("a")
    world.api.fail(call, DOWN)
    writes = len(world.api.journal)
    ran = await world.apply(target("a"))
    assert ran.plan.unknown
    assert not ran.plan.pending
    assert ran.code is ExitCode.ERROR
    assert "503" in ran.message("a")
    assert len(world.api.journal) == writes


@virtual
async def test_behind_an_unreadable_listing_nothing_is_asked_one_by_one() -> None:
    world = await converged_world("a")
    world.api.fail("target_names", DOWN)
    seen = await observe(declare(target("a")), None, world.api)
    assert seen.target(target_id("a")) == Unreadable(DOWN.message)
    assert not world.api.asked("target")


@virtual
async def test_one_unreadable_target_leaves_the_others_alone() -> None:
    world = await converged_world("a", "b")
    world.api.fail("target", DOWN, "a")
    ran = await world.apply(target("a"), target("b"))
    assert ran.codes() == {"a": ExitCode.ERROR, "b": ExitCode.OK}


@virtual
async def test_an_unreadable_rollout_is_unknown_too() -> None:
    world = await converged_world("a")
    world.api.fail("stage", DOWN, "rollout")
    ran = await world.apply(target("a"))
    assert [unknown.resource for unknown in ran.plan.unknown] == [target_id("a")]
    assert not world.api.needless


@virtual
async def test_a_refused_key_ends_the_observation_at_once() -> None:
    world = await converged_world(*NAMES)
    world.api.fail("target", AuthenticationError("401"), "t3")
    with pytest.raises(AuthenticationError):
        await observe(declare(*map(target, NAMES)), None, world.api)
    assert len(world.api.asked("stage")) < 2 * len(NAMES)


@virtual
async def test_missing_credits_while_observing_are_for_a_person_to_solve() -> None:
    world = await converged_world("a")
    world.api.fail("*", PaymentRequiredError("402: no credits left"))
    code = await observed_code(world, ["a"])
    assert code is ExitCode.BLOCKED


async def observed_code(world: World, names: Iterable[str]) -> ExitCode:
    """Return the exit code, whether it is raised or results."""
    try:
        return (await world.apply(*map(target, names))).code
    except ApiError as error:
        return error.exit_code
