"""Polling: polite, predictive, and done soon after the job is."""

from __future__ import annotations

from itertools import pairwise
from math import log

import pytest
from fake_api import LATENCY, Job, linear, stalled
from hypothesis import example, given
from hypothesis import strategies as st
from virtual_time import virtual

from reconciler.core.errors import ExitCode
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import LiveStage
from reconciler.engine.pacing import (
    HOSTED,
    LOOPBACK,
    Experience,
    Forecast,
    Pace,
    Progress,
    progress_of,
)

from .support import World, target

STIM, ROLLOUT = Stage.STIM, Stage.ROLLOUT
WAYS = {
    "linear": linear,
    "stalled": stalled,
    "untold": None,
    "late": lambda share: share**3,
    "at-the-end": lambda share: max(0.0, 10 * share - 9),
}
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
    for times in looks.values():
        # The first look comes before the job is asked for; what follows is waiting for it.
        waits = [after - before for before, after in pairwise(times[1:])]
        assert all(wait >= pace.floor for wait in waits)
        assert all(wait <= pace.ceiling + 2 * LATENCY for wait in waits)


@pytest.mark.parametrize("seconds", LENGTHS[1:])
@virtual
async def test_a_steady_job_is_found_complete_soon_and_in_few_requests(seconds: float) -> None:
    world, looks = await watched(Job(seconds), HOSTED)
    for (_, ended), stage in zip(world.api.intervals, Stage, strict=True):
        assert looks[stage][-1] - ended <= max(1.5 * HOSTED.floor, 0.01 * seconds)
        assert len(looks[stage]) <= seconds / HOSTED.ceiling + 20


@pytest.mark.parametrize("told", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("seconds", LENGTHS)
@virtual
async def test_whatever_a_job_tells_it_is_found_complete_in_proportion_to_its_length(
    seconds: float, told: object
) -> None:
    world, looks = await watched(Job(seconds, told=told), HOSTED)  # type: ignore[arg-type]
    for (_, ended), stage in zip(world.api.intervals, Stage, strict=True):
        late = looks[stage][-1] - ended
        longest = max(5 * HOSTED.floor, HOSTED.blind * seconds)
        assert late <= min(HOSTED.ceiling, longest) + 2 * LATENCY
        steps = log(seconds) / log(1 + HOSTED.blind)
        assert len(looks[stage]) <= seconds / HOSTED.ceiling + steps + 10


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


sights = st.none() | st.tuples(st.floats(0, 1), st.floats(0, 0.5)).map(
    lambda pair: Progress(pair[0], min(1.0, sum(pair)))
)


@given(
    seen=st.lists(st.tuples(st.floats(0, 1e5), sights), max_size=8),
    later=st.floats(0, 1e5),
    usual=st.floats(0, 1e5),
    from_beginning=st.booleans(),
)
def test_whatever_was_seen_the_next_look_is_between_floor_and_ceiling(
    seen: list[tuple[float, Progress | None]], later: float, usual: float, from_beginning: bool
) -> None:
    forecast = Forecast(0.0, usual, from_beginning)
    for moment, progress in sorted(seen, key=lambda sample: sample[0]):
        forecast.saw(moment, progress)
    now = max((moment for moment, _ in seen), default=0.0) + later
    assert HOSTED.floor <= forecast.delay(now, HOSTED) <= HOSTED.ceiling
    patient = forecast.delay(now, Pace(1.0, 1e9, blind=0.1))
    assert patient <= max(5.0, 1.5 * now), "no end is seen later than that"


Points = list[tuple[float, float]]


def rising(points: Points) -> Points:
    """Make any points progress over time, both as shares: it rises, stands still, and jumps."""
    times, done = (sorted(values) for values in zip(*points, strict=True))
    return [(0.0, 0.0), *zip(times, done, strict=True), (1.0, done[-1])]


def done_at(share: float, points: Points) -> float:
    for (begin, low), (end, high) in pairwise(points):
        if share < end:
            return low + (high - low) * (share - begin) / (end - begin)
    return points[-1][1]


def looks_at(seconds: float, points: Points | None, lines: int, pace: Pace) -> int:
    forecast, now, looks = Forecast(0.0), 0.0, 0
    while now < seconds:
        told = by_count(int(lines * done_at(now / seconds, points)), lines) if points else None
        forecast.saw(now, told)
        now, looks = now + forecast.delay(now, pace), looks + 1
    return looks


@pytest.mark.parametrize("pace", [HOSTED, LOOPBACK], ids=["hosted", "loopback"])
@given(
    points=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6).map(
        rising
    ),
    floors=st.floats(1, 5000),
    lines=st.sampled_from([1, 3, 20, 100, 10_000]),
)
@example(points=rising([(1.0, 1.0)]), floors=1200.0, lines=3)
@example(points=rising([(0.5, 0.99)]), floors=600.0, lines=1000)
@example(points=rising([(0.6, 1.0)]), floors=600.0, lines=1000)
def test_no_job_is_looked_at_much_more_often_than_one_that_tells_nothing(
    points: Points, floors: float, lines: int, pace: Pace
) -> None:
    seconds = floors * pace.floor
    silent = looks_at(seconds, None, lines, pace)
    assert looks_at(seconds, points, lines, pace) <= silent + 20


def by_count(lines: int, of: int) -> Progress:
    progress = progress_of(LiveStage("running", lines, of), of)
    assert progress is not None
    return progress


def test_a_job_that_stood_still_and_is_even_again_is_found_complete_soon() -> None:
    forecast, now = Forecast(0.0), 0.0
    while now < 900:
        done = min(now, 100) + max(0.0, now - 400)
        forecast.saw(now, by_count(int(done), 600))
        now += forecast.delay(now, HOSTED)
    assert now <= 900 * 1.005


@pytest.mark.parametrize("offset", [0.0, 0.5, 20.0])
def test_an_even_job_is_found_complete_at_once(offset: float) -> None:
    """Also one that begins late, as others are before it in a queue."""
    forecast, now, looks = Forecast(0.0), 0.0, 0
    while now < 600 + offset:
        done = max(0.0, now - offset) / 600
        forecast.saw(now, by_count(int(1000 * done), 1000))
        now, looks = now + forecast.delay(now, HOSTED), looks + 1
    assert now <= (600 + offset) * 1.005
    assert looks <= 40


def test_a_job_that_ran_before_is_judged_by_what_it_does_now() -> None:
    forecast = Forecast(1000.0, from_beginning=False)
    forecast.saw(1000.0, by_count(90, 100))
    forecast.saw(1010.0, by_count(91, 100))
    forecast.saw(1020.0, by_count(92, 100))
    assert forecast.delay(1020.0, Pace(1.0, 1e6, blind=0.1)) <= 80.0


def test_what_others_took_spares_looks_at_a_job_that_tells_nothing() -> None:
    experience = Experience()
    experience.completed(STIM, 50.0, 100)
    experience.completed(STIM, 40.0, 100)
    experience.completed(ROLLOUT, 1.0, 100)
    forecast = Forecast(0.0, experience.shortest(STIM, 100))
    forecast.saw(15.0, None)
    forecast.saw(20.0, None)
    assert forecast.delay(20.0, HOSTED) == pytest.approx(0.9 * 40.0 - 20.0)
    assert experience.shortest(STIM, None) == 0.0


@pytest.mark.parametrize(
    ("lines", "percent", "expected", "told"),
    [
        (None, None, 100, None),
        (None, 30.0, None, Progress(0.3, 0.31)),
        (None, 130.0, None, Progress(1.0, 1.0)),
        (3, None, 10, Progress(0.3, 0.4)),
        (12, None, 10, Progress(1.0, 1.0)),
        (3, 35.0, 10, Progress(0.35, 0.36)),
        (3, 90.0, 10, Progress(0.3, 0.4)),
        (3, None, None, None),
    ],
)
def test_lines_count_for_more_than_a_percentage_which_may_refine_them(
    lines: int | None, percent: float | None, expected: int | None, told: Progress | None
) -> None:
    seen = LiveStage("running", lines, expected, progress=percent)
    progress = progress_of(seen, expected)
    assert (progress is None) == (told is None)
    if progress and told:
        assert (progress.least, progress.most) == pytest.approx((told.least, told.most))
