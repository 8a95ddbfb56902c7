"""A run that an interrupt or a refused key ends: every resource has a true outcome all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_api import Job
from virtual_time import virtual

from reconciler.core.errors import AuthenticationError, ExitCode
from reconciler.core.model.desired import Stage
from reconciler.core.model.events import EventKind
from reconciler.core.model.manifest import Document, Kind

from .support import World, prompt, stim_only, target, target_id
from .test_deleting import destroy, unused

STIM = Stage.STIM
LASTING = Job(seconds=3600)
HOURS = 7200.0
REFUSED = AuthenticationError("401: invalid API key", hint="Check BREAD_API_KEY.")
OVER = "the run was broken off"


async def interrupted(
    world: World, *documents: Document, after: float = 30.0, **options: Any
) -> dict[str, str]:
    """Interrupt a run; return what is said of each target that is not as declared."""
    work = asyncio.create_task(world.apply(*documents, **options))
    await asyncio.sleep(after)
    asked, told, begun = len(world.api.calls), len(world.events), world.clock.now()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert world.clock.now() == begun
    assert (len(world.api.calls), len(world.events)) == (asked, told)
    await asyncio.sleep(HOURS)
    assert len(world.api.calls) == asked
    return said(world)


def said(world: World) -> dict[str, str]:
    outcomes = world.outcomes.values()
    assert all(outcome.message for outcome in outcomes if outcome.code is not ExitCode.OK)
    assert {outcome.code for outcome in outcomes} <= {ExitCode.OK, ExitCode.PENDING, ExitCode.ERROR}
    of_targets = [outcome for outcome in outcomes if outcome.resource.kind is Kind.TARGET]
    return {outcome.resource.name: outcome.message for outcome in of_targets}


def codes(world: World, *kinds: Kind) -> dict[str, ExitCode]:
    outcomes = world.outcomes.values()
    return {
        o.resource.name or o.resource.repo: o.code for o in outcomes if o.resource.kind in kinds
    }


@virtual
async def test_an_interrupted_run_says_of_each_resource_how_far_it_is() -> None:
    world = World()
    world.api.plays("b", STIM, LASTING)
    left = await interrupted(world, *map(stim_only, "abc"), parallelism=2, after=360.0)
    assert codes(world, Kind.REPO, Kind.PROMPT) == {"r": ExitCode.OK, "p": ExitCode.OK}
    assert codes(world, Kind.TARGET) == {
        "a": ExitCode.OK,
        "b": ExitCode.PENDING,
        "c": ExitCode.OK,
    }
    assert left["b"].startswith("not complete after 6m")
    assert "/ 100 lines" in left["b"]


@virtual
async def test_what_nobody_got_to_was_not_started() -> None:
    world = World()
    world.api.job = LASTING
    left = await interrupted(world, *map(stim_only, "ab"), parallelism=1)
    assert left["b"] == f"not started: {OVER}"


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("create_repo", f"not created, as far as is known: {OVER}"),
        ("create_target", f"not created, as far as is known: {OVER}"),
        ("stage", f"not started: {OVER}"),
        ("run", f"asked to start, but not answered: {OVER}"),
    ],
)
@virtual
async def test_what_is_under_way_may_have_happened(held: str, message: str) -> None:
    world = World()
    world.api.held[held] = HOURS
    assert await interrupted(world, stim_only("a")) == {"a": message}
    assert codes(world, Kind.TARGET) == {"a": ExitCode.PENDING}
    world.api.held.clear()
    assert (await world.apply(stim_only("a"))).code is ExitCode.OK
    assert world.api.starts["a", STIM] == 1


@virtual
async def test_an_interrupt_before_the_first_step_leaves_all_of_it_to_do() -> None:
    world = World()
    world.api.held["create_repo"] = HOURS
    await interrupted(world, target("a"), prompt("q"))
    names = {"r", "p", "q", "a"}
    found = codes(world, Kind.REPO, Kind.PROMPT, Kind.TARGET)
    assert found == dict.fromkeys(names, ExitCode.PENDING)


@virtual
async def test_a_destruction_says_what_may_still_be_there() -> None:
    world = World()
    documents = [unused("a"), unused("m", template="a"), unused("x")]
    await world.apply(*documents)
    world.api.held["delete_target"] = HOURS
    work = asyncio.create_task(destroy(world, *documents))
    await asyncio.sleep(30)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert said(world) == dict.fromkeys("amx", f"not deleted, as far as is known: {OVER}")
    assert set(world.lockfile.lock.targets) == {target_id(name) for name in "amx"}


@virtual
async def test_a_key_refused_while_waiting_is_an_error_of_what_met_it() -> None:
    world = World()
    world.api.job = LASTING
    world.api.plays("d", STIM, Job())
    world.api.fail("stage", REFUSED, "b", since=60)
    with pytest.raises(AuthenticationError):
        await world.apply(*map(stim_only, "abcd"), parallelism=3)
    assert codes(world, Kind.TARGET) == {
        "a": ExitCode.PENDING,
        "b": ExitCode.ERROR,
        "c": ExitCode.PENDING,
        "d": ExitCode.PENDING,
    }
    assert "401" in said(world)["b"]
    assert said(world)["d"] == f"not started: {OVER}"
    assert not [event for event in world.events if event.kind is EventKind.ERROR]


@virtual
async def test_a_key_refused_while_creating_is_an_error_of_what_was_to_be_created() -> None:
    world = World()
    world.api.fail("create_prompt", REFUSED, "p")
    with pytest.raises(AuthenticationError):
        await world.apply(stim_only("a"))
    found = codes(world, Kind.REPO, Kind.PROMPT, Kind.TARGET)
    assert found == {"r": ExitCode.OK, "p": ExitCode.ERROR, "a": ExitCode.PENDING}
