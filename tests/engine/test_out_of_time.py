"""When the time of a run is up: whatever it is at, it ends, and says and keeps what it knows."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from fake_api import Job
from virtual_time import virtual

from reconciler.core.errors import ExitCode, PaymentRequiredError
from reconciler.core.model.desired import Stage
from reconciler.core.model.events import EventKind
from reconciler.core.model.manifest import Document
from reconciler.core.planning import compute_plan

from .support import API_URL, World, declare, prompt, stim_only, target, target_id

if TYPE_CHECKING:
    from .support import Ran

STIM = Stage.STIM
#: How long an API holds everything back that asks for ten minutes, again and again.
HOURS = 7200.0
FAILS = Job(seconds=5, error="the judge model ran out of memory")
LASTING = Job(seconds=3600)


async def is_cut(world: World, *documents: Document, after: float = 30.0, **options: Any) -> Ran:
    """Apply within a time that does not suffice, and check what holds in every such case."""
    found = await world.plan(declare(*documents))
    begun = world.clock.now()
    ran = await world.carry_out(*found, timeout=after, **options)
    assert ran.seconds == pytest.approx(after, abs=0.001)
    assert ran.outcomes.keys() >= {f"Target {id_}" for id_ in found[0].targets}
    assert {o.code for o in ran.outcomes.values() if not o.message} <= {ExitCode.OK}
    await world.clock.sleep(2 * HOURS)
    assert max(call.at for call in world.api.calls) < begun + after
    return ran


@pytest.mark.parametrize("call", ["create_repo", "create_prompt", "create_target"])
@virtual
async def test_a_creation_that_is_held_back_does_not_outlast_the_run(call: str) -> None:
    world = World()
    world.api.held[call] = HOURS
    ran = await is_cut(world, target("a"))
    assert ran.code is ExitCode.PENDING
    assert ran.message("a") == "not created, as far as is known: the time is up"
    assert len(ran.told(EventKind.PENDING, "a")) == 1
    assert target_id("a") not in world.lockfile.lock.targets
    world.api.held.clear()
    assert (await world.apply(target("a"))).code is ExitCode.OK


@pytest.mark.parametrize("call", ["create_prompts", "create_targets"])
@virtual
async def test_a_batch_that_is_held_back_does_not_outlast_the_run(call: str) -> None:
    world, many = World(), range(20)
    documents = [prompt(f"p{n}") for n in many] + [stim_only(f"t{n}") for n in many]
    world.api.held[call] = HOURS
    ran = await is_cut(world, *documents)
    assert ran.codes() == {f"t{n}": ExitCode.PENDING for n in many}
    assert len(world.lockfile.lock.prompts) == (0 if call == "create_prompts" else 21)


@virtual
async def test_what_was_created_in_time_is_on_record_and_to_be_started() -> None:
    world = World()
    world.api.held["stage"] = HOURS
    ran = await is_cut(world, stim_only("a"), target("b", stim={"state": "none"}, rollout="none"))
    assert ran.codes() == {"a": ExitCode.PENDING, "b": ExitCode.OK}
    assert ran.message("a") == "not started: the time is up"
    assert world.lockfile.lock.targets.keys() == {target_id("a"), target_id("b")}


@virtual
async def test_what_nobody_got_to_is_told_by_what_is_known_of_it() -> None:
    world = World()
    world.api.job = LASTING
    await world.apply(*map(stim_only, "ab"), wait=False)
    documents = [stim_only(name) for name in "abc"]
    done = target("d", stim={"state": "none"}, rollout="none")
    ran = await is_cut(world, *documents, done, parallelism=1)
    assert ran.codes() == dict.fromkeys("abc", ExitCode.PENDING) | {"d": ExitCode.OK}
    assert "not complete after 30s" in ran.message("a")
    assert "not complete" in ran.message("b")
    assert ran.message("c") == "not started: the time is up"
    assert not world.api.asked("run", "c")


@virtual
async def test_a_start_that_is_held_back_is_not_known_to_have_happened() -> None:
    world = World()
    world.api.held["run"] = HOURS
    ran = await is_cut(world, stim_only("a"))
    assert ran.codes() == {"a": ExitCode.PENDING}
    assert ran.message("a") == "asked to start, but not answered: the time is up"
    assert world.lockfile.stage("a", STIM).status == "not_started"


@virtual
async def test_a_start_whose_answer_comes_too_late_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    start = world.api.run

    async def slowly(*of: Any) -> Any:
        seen = await start(*of)
        await world.clock.sleep(HOURS)
        return seen

    with monkeypatch.context() as patch:
        patch.setattr(world.api, "run", slowly)
        await is_cut(world, stim_only("a"))
    assert (await world.apply(stim_only("a"))).code is ExitCode.OK
    assert world.api.starts["a", STIM] == 1


@virtual
async def test_a_further_attempt_that_is_cut_off_counts_as_one() -> None:
    world = World()
    world.api.plays("a", STIM, FAILS)
    again = stim_only("a", policy={"retries": 1})
    await world.apply(stim_only("a", policy={"retries": 0}))
    world.api.held["run"] = HOURS
    ran = await is_cut(world, again)
    assert "not answered" in ran.message("a")
    assert world.lockfile.stage("a", STIM).attempts == 2
    world.api.held.clear()
    assert (await world.apply(again)).code is ExitCode.BLOCKED
    assert world.api.starts["a", STIM] == 1


@virtual
async def test_a_look_that_is_held_back_leaves_what_was_seen_before() -> None:
    world = World()
    world.api.job = LASTING
    hold = partial(world.api.held.__setitem__, "stage", HOURS)
    asyncio.get_running_loop().call_later(1000, hold)
    ran = await is_cut(world, stim_only("a"), after=1800.0)
    assert ran.code is ExitCode.PENDING
    assert "not complete after 30m00s (26 / 100 lines)" in ran.message("a")
    assert world.lockfile.stage("a", STIM).lines == 26


@virtual
async def test_the_last_look_comes_just_before_the_time_is_up() -> None:
    world = World()
    world.api.plays("a", STIM, Job(seconds=598, told=None))
    world.api.plays("b", STIM, Job(seconds=1200))
    ran = await is_cut(world, *map(stim_only, "ab"), after=600.0)
    assert ran.codes() == {"a": ExitCode.OK, "b": ExitCode.PENDING}
    assert "(49 / 100 lines)" in ran.message("b")


@virtual
async def test_a_deletion_that_is_held_back_stays_an_orphan() -> None:
    world, loose = World(), {"prevent_destroy": False}
    await world.apply(stim_only("a", policy=loose), stim_only("b"))
    desired, observed, lock, _ = await world.plan(declare(stim_only("b")))
    found = compute_plan(desired, observed, lock, api_url=API_URL, prune=True)
    world.api.held["delete_target"] = HOURS
    ran = await world.carry_out(desired, observed, lock, found, timeout=30.0)
    assert ran.seconds == pytest.approx(30)
    assert ran.codes() == {"a": ExitCode.PENDING, "b": ExitCode.OK}
    assert ran.message("a") == "not deleted, as far as is known: the time is up"
    assert target_id("a") in world.lockfile.lock.targets


@virtual
async def test_credits_that_ran_out_before_still_block_what_was_not_started() -> None:
    world = World()
    world.api.plays("b", STIM, LASTING)
    await world.apply(stim_only("b"), wait=False)
    world.api.fail("run", PaymentRequiredError("402: prepaid credits ran out"), "a")
    ran = await is_cut(world, *map(stim_only, "abc"), parallelism=1)
    expected = {"a": ExitCode.BLOCKED, "b": ExitCode.PENDING, "c": ExitCode.BLOCKED}
    assert ran.codes() == expected


@virtual
async def test_a_run_without_any_time_left_sends_nothing() -> None:
    world = World()
    found = await world.plan(declare(*map(stim_only, "ab")))
    asked = len(world.api.calls)
    ran = await world.carry_out(*found, timeout=0.0)
    assert ran.codes() == dict.fromkeys("ab", ExitCode.PENDING)
    assert len(world.api.calls) == asked


@virtual
async def test_an_interrupt_is_none_the_less_one() -> None:
    world = World()
    world.api.held["create_target"] = HOURS
    work = asyncio.create_task(world.apply(stim_only("a"), timeout=600.0))
    await asyncio.sleep(10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not [event for event in world.events if event.kind is EventKind.PENDING]


@virtual
async def test_a_disk_that_times_out_is_an_error() -> None:
    """The error of the operating system has the same name as that of a time that is up."""
    world = World()

    def refuse() -> None:
        raise TimeoutError(110, "Connection timed out")

    world.lockfile.on_write = refuse
    with pytest.raises(TimeoutError, match="Connection timed out"):
        await world.apply(stim_only("a"), timeout=600.0)
