"""Polling: polite, predictive, and done soon after the job is."""

from __future__ import annotations

from itertools import pairwise
from math import log

import pytest
from fake_api import LATENCY, Job, linear, stalled
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import virtual

from reconciler.core.errors import ExitCode
from reconciler.core.model.desired import Stage
from reconciler.engine.pacing import HOSTED, LOOPBACK, Forecast, Pace

from .support import World, target

STIM, ROLLOUT = Stage.STIM, Stage.ROLLOUT
WAYS = {"linear": linear, "stalled": stalled, "untold": None, "late": lambda share: share**3}
LENGTHS = [2.0, 30.0, 300.0, 1800.0]


async def watched(job: Job, pace: Pace) -> tuple[World, dict[Stage, list[float]]]:
    """Run a target whose jobs go like this; return when each of its stages was looked at."""
    world = World()
    world.api.job = job
    ran = await world.apply(target("a"), pace=pace)
    assert ran.code is ExitCode.OK
    return world, {stage: world.api.times("stage", "a", stage) for stage in Stage}


@pytest.mark.parametrize("pace", [HOSTED, LOOPBACK], ids=["hosted", "loopback"])
@pytest.mark.parametrize("told", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("seconds", LENGTHS)
@virtual
async def test_a_job_is_looked_at_between_floor_and_ceiling(
    seconds: float, told: object, pace: Pace
) -> None:
    _, looks = await watched(Job(seconds, told=told), pace)  # type: ignore[arg-type]  # of WAYS
    for stage, times in looks.items():
        # The first look comes before the job is asked for; what follows is waiting for it.
        waits = [after - before for before, after in pairwise(times[1:])]
        assert all(wait >= pace.floor for wait in waits)
        assert all(wait <= pace.ceiling[stage] + 2 * LATENCY for wait in waits)


@pytest.mark.parametrize("seconds", LENGTHS)
@virtual
async def test_a_steady_job_is_found_complete_soon_and_in_few_requests(seconds: float) -> None:
    world, looks = await watched(Job(seconds), HOSTED)
    for (_, ended), stage in zip(world.api.intervals, Stage, strict=True):
        assert looks[stage][-1] - ended <= 1.5 * HOSTED.floor
        assert len(looks[stage]) <= seconds / HOSTED.ceiling[stage] + 15


@pytest.mark.parametrize("told", [stalled, None], ids=["stalled", "untold"])
@pytest.mark.parametrize("seconds", LENGTHS)
@virtual
async def test_a_job_that_tells_little_is_found_complete_in_proportion_to_its_length(
    seconds: float, told: object
) -> None:
    world, looks = await watched(Job(seconds, told=told), HOSTED)  # type: ignore[arg-type]
    for (_, ended), stage in zip(world.api.intervals, Stage, strict=True):
        late = looks[stage][-1] - ended
        assert late <= min(HOSTED.ceiling[stage], max(HOSTED.floor, 0.25 * seconds)) + 2 * LATENCY
        steps = log(max(seconds, 2)) / log(1.15)
        assert len(looks[stage]) <= seconds / HOSTED.ceiling[stage] + steps + 10


@virtual
async def test_jobs_of_two_seconds_are_done_in_little_more_than_that() -> None:
    world, _ = await watched(Job(2.0), LOOPBACK)
    assert world.clock.now() < 4.5


@virtual
async def test_many_jobs_cost_requests_in_proportion() -> None:
    world = World()
    world.api.job = Job(seconds=600)
    await world.apply(*(target(f"t{n}") for n in range(50)), parallelism=50)
    per_target = len(world.api.asked("stage")) / 50
    assert per_target < 600 / 10 + 600 / 30 + 30


@given(
    seen=st.lists(st.tuples(st.floats(0, 1e5), st.none() | st.floats(0, 1)), max_size=8),
    later=st.floats(0, 1e5),
    stage=st.sampled_from(Stage),
)
def test_whatever_was_seen_the_next_look_is_between_floor_and_ceiling(
    seen: list[tuple[float, float | None]], later: float, stage: Stage
) -> None:
    forecast = Forecast(0.0)
    for moment, share in sorted(seen, key=lambda sample: sample[0]):
        forecast.saw(moment, share)
    now = max((moment for moment, _ in seen), default=0.0) + later
    assert HOSTED.floor <= forecast.delay(now, HOSTED, stage) <= HOSTED.ceiling[stage]


def test_a_prediction_is_followed_for_the_most_part() -> None:
    forecast = Forecast(0.0)
    forecast.saw(10.0, 0.5)
    assert 5.0 <= forecast.delay(10.0, HOSTED, ROLLOUT) < 10.0


def test_the_pace_follows_the_latest_speed_and_not_the_average() -> None:
    forecast = Forecast(0.0)
    forecast.saw(100.0, 0.1)
    forecast.saw(101.0, 0.9)
    assert forecast.delay(101.0, HOSTED, STIM) == HOSTED.floor
