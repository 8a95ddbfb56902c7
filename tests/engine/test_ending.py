"""How runs end: credits gone, a refused key, time-outs, and being cancelled."""

from __future__ import annotations

import asyncio

import pytest
from fake_api import NEVER_ENDS, Job
from virtual_time import virtual

from reconciler.core.errors import AuthenticationError, ExitCode, PaymentRequiredError
from reconciler.core.model.desired import Stage
from reconciler.core.model.events import EventKind
from reconciler.core.model.manifest import Kind

from .support import REPO, World, document, stim_only, target

STIM, ROLLOUT = Stage.STIM, Stage.ROLLOUT
NO_CREDITS = PaymentRequiredError("402: prepaid credits ran out", hint="Top up the account.")
REFUSED = AuthenticationError("401: invalid API key")


@virtual
async def test_without_credits_nothing_more_is_started_and_what_runs_is_watched() -> None:
    world = World()
    world.api.plays("a", STIM, Job(seconds=120))
    await world.apply(stim_only("a"), wait=False)
    world.api.fail("run", NO_CREDITS)
    ran = await world.apply(*(stim_only(name) for name in "abcd"))
    assert ran.code is ExitCode.BLOCKED
    assert ran.codes() == {"a": ExitCode.OK} | dict.fromkeys("bcd", ExitCode.BLOCKED)
    assert all("credits ran out" in ran.message(name) for name in "bcd")
    assert [event.resource.name for event in ran.told(EventKind.COMPLETE)] == ["a"]


@virtual
async def test_after_the_first_refusal_for_lack_of_credits_nobody_asks_again() -> None:
    world = World()
    world.api.fail("run", NO_CREDITS)
    ran = await world.apply(*(target(f"t{n}") for n in range(20)), parallelism=1)
    assert ran.code is ExitCode.BLOCKED
    assert len(world.api.asked("run")) == 1


@virtual
async def test_credits_that_run_out_before_the_rollout_keep_what_stim_made() -> None:
    world = World()
    world.api.fail("run", NO_CREDITS, "rollout")
    ran = await world.apply(target("a"))
    assert ran.code is ExitCode.BLOCKED
    assert world.lockfile.stage("a", STIM).status == "complete"
    assert world.lockfile.stage("a", ROLLOUT).status == "not_started"


@virtual
async def test_a_refused_key_ends_everything_at_once() -> None:
    world = World()
    world.api.job = NEVER_ENDS
    world.api.fail("stage", REFUSED, "b", since=60)
    with pytest.raises(AuthenticationError):
        await world.apply(*(stim_only(name) for name in "abc"))
    ended = world.clock.now()
    assert 60 <= ended < 75
    await world.clock.sleep(600)
    assert max(call.at for call in world.api.calls) <= ended
    assert world.lockfile.stage("c", STIM).status == "running"


@virtual
async def test_a_key_refused_while_creating_ends_everything_at_once() -> None:
    world = World()
    world.api.fail("create_prompt", REFUSED)
    with pytest.raises(AuthenticationError):
        await world.apply(stim_only("a"))
    assert not world.api.asked("create_target")
    assert world.lockfile.lock.repos


@virtual
async def test_a_stage_that_outlasts_its_timeout_is_still_converging() -> None:
    world = World()
    world.api.plays("a", STIM, Job(seconds=3600))
    ran = await world.apply(stim_only("a", stim={"timeout": "15m"}), stim_only("b"))
    assert ran.codes() == {"a": ExitCode.PENDING, "b": ExitCode.OK}
    assert ran.seconds == pytest.approx(900, abs=2)
    assert "15m" in ran.message("a")
    assert "24 / 100 lines" in ran.message("a")
    assert world.lockfile.stage("a", STIM).lines == 24


@virtual
async def test_a_rollout_has_its_own_timeout_and_quantities() -> None:
    world = World()
    world.api.plays("a", ROLLOUT, Job(seconds=4000))
    ran = await world.apply(target("a", stim={"timeout": "5s"}, rollout={"timeout": "1000s"}))
    assert ran.code is ExitCode.PENDING
    assert "124 / 500 lines" in ran.message("a")


@virtual
async def test_the_timeout_of_a_run_counts_for_all_its_targets_together() -> None:
    world = World()
    world.api.job = Job(seconds=3600)
    ran = await world.apply(*map(stim_only, "abc"), timeout=600.0)
    assert ran.codes() == dict.fromkeys("abc", ExitCode.PENDING)
    assert ran.seconds == pytest.approx(600, abs=2)
    assert all("lines" in ran.message(name) for name in "abc")


@virtual
async def test_a_job_complete_in_the_last_moment_is_complete() -> None:
    world = World()
    world.api.job = Job(seconds=599.5, told=None)
    ran = await world.apply(stim_only("a", stim={"timeout": "10m"}))
    assert ran.code is ExitCode.OK


@virtual
async def test_nothing_is_started_after_the_timeout_of_the_run() -> None:
    world = World()
    world.api.job = Job(seconds=3600)
    ran = await world.apply(*map(stim_only, "abc"), timeout=60.0, parallelism=1)
    assert ran.code is ExitCode.PENDING
    assert [call.of[1] for call in world.api.asked("run")] == ["a"]


@virtual
async def test_the_run_after_a_timeout_goes_on_where_the_job_is() -> None:
    world = World()
    world.api.job = Job(seconds=1000)
    await world.apply(stim_only("a"), timeout=600.0)
    ran = await world.apply(stim_only("a"))
    assert ran.code is ExitCode.OK
    assert ran.seconds == pytest.approx(400, abs=12)
    assert world.api.starts["a", STIM] == 1


@virtual
async def test_a_cancelled_run_leaves_the_latest_observation_in_the_lockfile() -> None:
    world = World()
    world.api.job = Job(seconds=1000)
    work = asyncio.create_task(world.apply(*map(stim_only, "ab")))
    await asyncio.sleep(500)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    for name in "ab":
        told = [e.lines for e in world.events if e.resource.name == name and e.lines]
        assert world.lockfile.stage(name, STIM).status == "running"
        assert world.lockfile.stage(name, STIM).lines == max(told) > 0


@virtual
async def test_nothing_happens_after_a_run_was_cancelled() -> None:
    world = World()
    world.api.job = Job(seconds=1000)
    work = asyncio.create_task(world.apply(*map(target, "abc")))
    await asyncio.sleep(10)
    work.cancel()
    await asyncio.wait([work])
    cancelled = len(world.api.calls)
    await asyncio.sleep(5000)
    assert len(world.api.calls) == cancelled


@virtual
async def test_the_budget_is_checked_before_anything_happens() -> None:
    world = World()
    budget = {"max_new_trajectories": 499}
    project = document(Kind.PROJECT, "p", spec={"budget": budget})
    ran = await world.apply(project, target("a"))
    assert ran.code is ExitCode.BLOCKED
    assert not world.api.journal
    assert REPO not in world.api.repos
