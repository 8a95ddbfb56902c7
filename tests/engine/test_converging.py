"""Converging: stim, then rollout, each started once, on what was seen a moment ago."""

from __future__ import annotations

import pytest
from fake_api import NEVER_ENDS, FakeApi, Job
from virtual_time import virtual

from reconciler.core.errors import ExitCode, NotFoundError, UnreachableError
from reconciler.core.model.desired import Stage
from reconciler.core.model.events import EventKind
from reconciler.core.model.observed import LiveStage
from reconciler.engine.convergence import PATIENCE
from reconciler.engine.pacing import LOOPBACK

from .support import REPO, Memory, World, declare, stim_only, target

STIM, ROLLOUT = Stage.STIM, Stage.ROLLOUT
LOST = UnreachableError("no answer in time")
HOUR = 3600.0


@virtual
async def test_stim_comes_before_rollout_and_each_is_started_once() -> None:
    world = World()
    ran = await world.apply(target("a"))
    assert ran.code is ExitCode.OK
    posts = [str(call) for call in world.api.calls if call.name == "run"]
    assert posts == ["run r/a/stim", "run r/a/rollout"]
    assert not world.api.needless
    for stage, lines in ((STIM, 100), (ROLLOUT, 500)):
        seen = world.lockfile.stage("a", stage)
        assert (seen.status, seen.lines, seen.expected) == ("complete", lines, lines)


@virtual
async def test_a_converged_world_is_left_alone() -> None:
    world = World()
    await world.apply(target("a"), target("b"))
    before = list(world.api.journal)
    ran = await world.apply(target("a"), target("b"))
    assert ran.plan.converged
    assert ran.code is ExitCode.OK
    assert world.api.journal == before
    assert not ran.events


@virtual
async def test_three_targets_take_little_longer_than_one() -> None:
    one, three = World(), World()
    alone = await one.apply(target("a"), pace=LOOPBACK)
    together = await three.apply(*map(target, "abc"), pace=LOOPBACK)
    assert alone.seconds >= 4
    assert together.seconds < alone.seconds + 0.5


@pytest.mark.parametrize("parallelism", [1, 2, 5])
@virtual
async def test_parallelism_bounds_the_targets_worked_on_at_once(parallelism: int) -> None:
    world = World()
    world.api.job = Job(seconds=60)
    ran = await world.apply(*map(target, "abcdef"), parallelism=parallelism)
    assert ran.code is ExitCode.OK
    assert world.api.most_at_once() == parallelism


@virtual
async def test_a_job_that_runs_already_is_watched_and_not_started() -> None:
    world = World()
    await world.apply(target("a"), wait=False)
    ran = await world.apply(target("a"))
    assert ran.code is ExitCode.OK
    assert world.api.starts == {("a", STIM): 1, ("a", ROLLOUT): 1}
    assert not world.api.needless


@virtual
async def test_a_job_started_by_somebody_else_since_the_plan_is_not_started_again() -> None:
    world = World()
    await world.apply(target("a", stim={"state": "none"}, rollout="none"))
    planned = await world.plan(declare(target("a")))
    world.api.start(REPO, "a", STIM, Job(seconds=30))
    ran = await world.carry_out(*planned)
    assert ran.code is ExitCode.OK
    assert world.api.starts["a", STIM] == 1
    assert not world.api.needless


@virtual
async def test_a_failed_job_restarted_by_somebody_else_is_not_started_again() -> None:
    world = World()
    world.api.plays("a", STIM, Job(error="out of memory"), Job(seconds=30))
    await world.apply(stim_only("a", policy={"retries": 0}))
    planned = await world.plan(declare(stim_only("a", policy={"retries": 3})))
    world.api.start(REPO, "a", STIM)
    ran = await world.carry_out(*planned)
    assert ran.code is ExitCode.OK
    assert world.api.starts["a", STIM] == 2
    assert not world.api.needless


@virtual
async def test_a_target_that_vanished_since_the_plan_fails_alone() -> None:
    world = World()
    await world.apply(*(target(n, stim={"state": "none"}, rollout="none") for n in "ab"))
    planned = await world.plan(declare(target("a"), target("b")))
    del world.api.repos[REPO].targets["a"]
    ran = await world.carry_out(*planned)
    assert ran.codes() == {"a": ExitCode.ERROR, "b": ExitCode.OK}
    assert "Target not found" in ran.message("a")
    assert "a" not in world.api.repos[REPO].targets


@virtual
async def test_a_target_that_vanishes_while_its_job_runs_fails_alone() -> None:
    world = World()
    world.api.job = Job(seconds=60)
    world.api.fail("stage", NotFoundError("Target not found"), "a", since=20)
    ran = await world.apply(stim_only("a"), stim_only("b"))
    assert ran.codes() == {"a": ExitCode.ERROR, "b": ExitCode.OK}
    assert world.api.starts["a", STIM] == 1


@virtual
async def test_a_start_whose_answer_got_lost_is_not_repeated_blindly() -> None:
    world = World()
    world.api.job = Job(seconds=60)
    world.api.fail("run", LOST, lost=True)
    ran = await world.apply(target("a"))
    assert ran.code is ExitCode.OK
    assert len(world.api.asked("run")) == 2
    assert not world.api.needless
    assert [event.stage for event in ran.told(EventKind.WARNING)] == [STIM, ROLLOUT]


@virtual
async def test_a_start_that_never_arrived_is_repeated() -> None:
    world = World()
    world.api.fail("run", LOST, times=1)
    ran = await world.apply(stim_only("a"))
    assert ran.code is ExitCode.OK
    assert world.api.starts["a", STIM] == 1
    assert len(world.api.asked("run")) == 2


@virtual
async def test_a_start_that_never_succeeds_is_an_error_and_no_running_job() -> None:
    """Nothing runs, so this is no "still converging"; and the API is not hammered for an hour."""
    world = World()
    world.api.fail("run", LOST)
    ran = await world.apply(stim_only("a"))
    assert ran.code is ExitCode.ERROR
    assert LOST.message in ran.message("a")
    assert ran.seconds < 10 * PATIENCE
    assert len(world.api.asked("run")) < 100


@virtual
async def test_a_short_outage_is_told_of_and_survived() -> None:
    world = World()
    world.api.job = Job(seconds=300)
    world.api.fail("stage", LOST, since=100, until=100 + PATIENCE / 2)
    ran = await world.apply(stim_only("a"))
    assert ran.code is ExitCode.OK
    assert [event.message for event in ran.told(EventKind.WARNING)] == [LOST.message]
    assert world.api.starts["a", STIM] == 1


@virtual
async def test_outages_do_not_add_up() -> None:
    world = World()
    world.api.job = Job(seconds=1000)
    for begin in range(100, 900, 100):
        world.api.fail("stage", LOST, since=begin, until=begin + 40)
    ran = await world.apply(stim_only("a"))
    assert ran.code is ExitCode.OK


@virtual
async def test_a_long_outage_ends_as_an_error_after_patience() -> None:
    world = World()
    world.api.job = Job(seconds=HOUR)
    world.api.fail("stage", LOST, since=100)
    ran = await world.apply(stim_only("a"), stim_only("b"))
    assert ran.codes() == {"a": ExitCode.ERROR, "b": ExitCode.ERROR}
    assert LOST.message in ran.message("a")
    assert 100 + PATIENCE <= ran.seconds < 100 + 2 * PATIENCE
    assert world.lockfile.stage("a", STIM).status == "running"


@virtual
async def test_an_undocumented_status_is_watched_and_told_of_and_starts_nothing() -> None:
    world = World()
    world.api.plays("a", STIM, Job(seconds=90, status="queued-for-review"))
    ran = await world.apply(stim_only("a"))
    assert ran.code is ExitCode.OK
    assert len(world.api.asked("run")) == 1
    warnings = [event.message for event in ran.told(EventKind.WARNING)]
    assert len(warnings) == 1
    assert "queued-for-review" in warnings[0]


@virtual
async def test_a_pending_job_is_watched_quietly() -> None:
    world = World()
    world.api.plays("a", STIM, Job(seconds=90, status="pending", told=None))
    ran = await world.apply(stim_only("a"))
    assert ran.code is ExitCode.OK
    assert not ran.told(EventKind.WARNING)


@virtual
async def test_a_job_that_reports_no_lines_until_it_ends_converges() -> None:
    world = World()
    world.api.job = Job(seconds=300, told=None)
    ran = await world.apply(target("a"))
    assert ran.code is ExitCode.OK
    assert world.lockfile.stage("a", ROLLOUT).lines == 500


@virtual
async def test_a_job_without_any_output_is_a_shortfall() -> None:
    world = World()
    world.api.plays("a", STIM, Job(lines=0))
    ran = await world.apply(target("a"))
    assert ran.code is ExitCode.BLOCKED
    assert "0 / 1 lines" in ran.message("a")
    assert not world.api.starts["a", ROLLOUT]


@virtual
async def test_a_shortfall_is_blocked_with_both_quantities() -> None:
    world = World()
    world.api.plays("a", STIM, Job(lines=80))
    ran = await world.apply(target("a", stim={"min_lines": 90}))
    assert ran.code is ExitCode.BLOCKED
    assert "80 / 90 lines" in ran.message("a")
    assert world.lockfile.stage("a", STIM).lines == 80


@virtual
async def test_an_accepted_shortfall_is_told_of_and_the_rollout_runs() -> None:
    world = World()
    world.api.plays("a", STIM, Job(lines=80))
    documents = [target("a", stim={"min_lines": 90}, policy={"on_shortfall": "accept"})]
    ran = await world.apply(*documents)
    assert ran.code is ExitCode.OK
    assert any("80 / 90" in event.message for event in ran.told(EventKind.WARNING))
    rollout = world.lockfile.stage("a", ROLLOUT)
    assert (rollout.lines, rollout.expected) == (400, 400)


@virtual
@pytest.mark.parametrize("adopted", [False, True])
async def test_an_accepted_shortfall_is_told_of_by_every_run(adopted: bool) -> None:
    world = World()
    world.api.plays("a", STIM, Job(lines=80))
    documents = [target("a", stim={"min_lines": 90}, policy={"on_shortfall": "accept"})]
    await world.apply(*documents)
    if adopted:
        world.lockfile = world.writer = Memory(world.api.journal)
    ran = await world.apply(*documents)
    assert ran.code is ExitCode.OK
    told = [(event.stage, event.message) for event in ran.told(EventKind.WARNING)]
    assert told == [(STIM, "80 / 90 lines: fewer than wanted, accepted")]


@virtual
async def test_progress_is_told_with_quantities() -> None:
    world = World()
    world.api.job = Job(seconds=120)
    ran = await world.apply(target("a"))
    told = ran.told(EventKind.PROGRESS)
    assert {event.stage for event in told} == {STIM, ROLLOUT}
    for stage, expected in ((STIM, 100), (ROLLOUT, 500)):
        lines = [event.lines for event in told if event.stage is stage]
        assert lines == sorted(set(lines), key=lambda count: count or 0)
        assert {event.expected for event in told if event.stage is stage} == {expected}


@virtual
async def test_without_waiting_every_run_takes_one_step_of_each_target() -> None:
    world = World()
    world.api.job = Job(seconds=600)
    documents = [target("a"), target("b")]
    steps = []
    for _ in range(4):
        before = len(world.api.asked("run"))
        ran = await world.apply(*documents, wait=False)
        steps.append((len(world.api.asked("run")) - before, ran.code))
        await world.clock.sleep(700)
    assert steps == [
        (2, ExitCode.PENDING),
        (2, ExitCode.PENDING),
        (0, ExitCode.OK),
        (0, ExitCode.OK),
    ]


@virtual
async def test_without_waiting_a_run_is_over_at_once_and_on_record() -> None:
    world = World()
    world.api.job = NEVER_ENDS
    ran = await world.apply(target("a"), wait=False)
    assert ran.seconds < 1
    assert world.lockfile.stage("a", STIM).status == "running"
    again = await world.apply(target("a"), wait=False)
    assert again.code is ExitCode.PENDING
    assert world.api.starts["a", STIM] == 1


@virtual
async def test_who_wants_no_stage_gets_none() -> None:
    world = World()
    ran = await world.apply(target("a", stim={"state": "none"}, rollout="none"))
    assert ran.code is ExitCode.OK
    assert not world.api.asked("run")
    assert not world.api.asked("stage")


@virtual
async def test_one_failing_target_does_not_hold_up_the_others() -> None:
    world = World()
    world.api.plays("a", STIM, Job(error="no such dataset"))
    ran = await world.apply(target("a", policy={"retries": 0}), target("b"))
    assert ran.codes() == {"a": ExitCode.BLOCKED, "b": ExitCode.OK}


class Forgetful(FakeApi):
    """Takes every request to start a job, and never has one."""

    async def run(self, repo: str, target: str, stage: Stage) -> LiveStage:
        await self.clock.sleep(0.01)
        self.starts[target, stage] += 1
        return LiveStage("not_started", 0)


@virtual
async def test_a_service_that_never_gets_to_starting_a_job_is_not_flooded() -> None:
    world = World()
    world.api = Forgetful(world.clock)
    await world.apply(stim_only("a", stim={"timeout": "5m"}))
    assert world.clock.now() < 310
    assert world.api.starts["a", STIM] <= 310
