"""Failed jobs: run again as often as the policy allows, counted before each attempt."""

from __future__ import annotations

from fake_api import Job
from virtual_time import virtual

from reconciler.core.errors import ExitCode, PaymentRequiredError, UnreachableError
from reconciler.core.model.desired import Stage
from reconciler.core.model.events import EventKind

from .support import World, stim_only, target, target_id

STIM = Stage.STIM
FAILS = Job(seconds=5, error="the judge model ran out of memory")


def posts(world: World) -> list[int]:
    """Return where in the journal the job was asked for."""
    return [n for n, note in enumerate(world.api.journal) if note == "run r/a/stim"]


@virtual
async def test_an_attempt_is_on_record_before_it_is_asked_for() -> None:
    world = World()
    world.api.plays("a", STIM, FAILS, FAILS, Job())
    ran = await world.apply(stim_only("a", policy={"retries": 2}))
    assert ran.code is ExitCode.OK
    journal, counted = world.api.journal, []
    for post in posts(world):
        last = next(note for note in reversed(journal[:post]) if note.startswith("lock"))
        lock = world.lockfile.lock_after(last)
        counted.append(lock.targets[target_id("a")].stages[STIM].attempts)
    assert counted == [0, 2, 3]


@virtual
async def test_what_failed_once_and_then_succeeded_leaves_no_trace() -> None:
    world, smooth = World(), World()
    world.api.plays("a", STIM, FAILS, Job())
    ran = await world.apply(stim_only("a"))
    await smooth.apply(stim_only("a"))
    assert ran.code is ExitCode.OK
    assert [event.message for event in ran.told(EventKind.FAILED)] == [FAILS.error]
    assert [event.attempt for event in ran.told(EventKind.STARTED)] == [None, 2]
    assert world.lockfile.texts[-1] == smooth.lockfile.texts[-1]


@virtual
async def test_after_the_last_attempt_a_person_must_decide() -> None:
    world = World()
    world.api.plays("a", STIM, FAILS)
    ran = await world.apply(stim_only("a", policy={"retries": 2}), stim_only("b"))
    assert ran.codes() == {"a": ExitCode.BLOCKED, "b": ExitCode.OK}
    assert str(FAILS.error) in ran.message("a")
    assert "3 times" in ran.message("a")
    assert world.api.starts["a", STIM] == 3
    locked = world.lockfile.stage("a", STIM)
    assert (locked.status, locked.attempts, locked.error) == ("failed", 3, FAILS.error)


@virtual
async def test_what_is_blocked_stays_so_in_the_next_run() -> None:
    world = World()
    world.api.plays("a", STIM, FAILS)
    await world.apply(stim_only("a"))
    text, starts = world.lockfile.texts[-1], len(posts(world))
    ran = await world.apply(stim_only("a"))
    assert ran.code is ExitCode.BLOCKED
    assert str(FAILS.error) in ran.message("a")
    assert len(posts(world)) == starts
    assert world.lockfile.texts[-1] == text


@virtual
async def test_raising_the_allowance_allows_exactly_that_much_more() -> None:
    world = World()
    world.api.plays("a", STIM, FAILS)
    await world.apply(stim_only("a", policy={"retries": 1}))
    await world.apply(stim_only("a", policy={"retries": 3}))
    assert world.api.starts["a", STIM] == 4


@virtual
async def test_without_retries_a_failure_is_final() -> None:
    world = World()
    world.api.plays("a", STIM, FAILS)
    ran = await world.apply(stim_only("a", policy={"retries": 0}))
    assert ran.code is ExitCode.BLOCKED
    assert "failed once" in ran.message("a")
    assert world.api.starts["a", STIM] == 1


@virtual
async def test_a_service_that_just_answers_failed_again_is_asked_no_more_than_allowed() -> None:
    world = World()
    world.api.restarts_failed = False
    world.api.plays("a", STIM, FAILS)
    ran = await world.apply(stim_only("a", policy={"retries": 2}))
    assert ran.code is ExitCode.BLOCKED
    assert len(posts(world)) == 3
    assert world.api.starts["a", STIM] == 1
    assert world.lockfile.stage("a", STIM).attempts == 3


@virtual
async def test_a_retry_whose_answer_got_lost_counts() -> None:
    world = World()
    world.api.plays("a", STIM, FAILS, FAILS)
    world.api.fail("run", UnreachableError("no answer"), since=2, lost=True)
    ran = await world.apply(stim_only("a", policy={"retries": 1}))
    assert ran.code is ExitCode.BLOCKED
    assert world.api.starts["a", STIM] == 2


@virtual
async def test_credits_that_ran_out_do_not_use_up_an_attempt() -> None:
    """A refused request ran nothing: once there are credits again, the retry is still to be had."""
    world = World()
    world.api.plays("a", STIM, FAILS, Job())
    world.api.fail("run", PaymentRequiredError("402: no credits left"), since=2, times=1)
    documents = [stim_only("a", policy={"retries": 1})]
    assert (await world.apply(*documents)).code is ExitCode.BLOCKED
    assert (await world.apply(*documents)).code is ExitCode.OK


@virtual
async def test_a_failed_rollout_is_retried_without_repeating_stim() -> None:
    world = World()
    world.api.plays("a", Stage.ROLLOUT, FAILS, Job())
    ran = await world.apply(target("a"))
    assert ran.code is ExitCode.OK
    assert world.api.starts == {("a", STIM): 1, ("a", Stage.ROLLOUT): 2}


@virtual
async def test_another_config_starts_counting_afresh() -> None:
    world = World()
    freely = {"on_change": "replace", "prevent_destroy": False}
    world.api.plays("a", STIM, FAILS, FAILS, FAILS, Job())
    await world.apply(stim_only("a", policy=freely))
    assert world.lockfile.stage("a", STIM).attempts == 2
    ran = await world.apply(stim_only("a", policy=freely, max_tokens=9))
    assert ran.code is ExitCode.OK
    assert world.api.starts["a", STIM] == 4


@virtual
async def test_a_failure_without_a_reason_is_told_as_such() -> None:
    world = World()
    world.api.plays("a", STIM, Job(seconds=5, error=""))
    ran = await world.apply(stim_only("a", policy={"retries": 0}))
    assert ran.code is ExitCode.BLOCKED
    assert "no reason" in ran.message("a")


@virtual
async def test_an_outage_that_is_over_does_not_count_against_a_later_one() -> None:
    world = World()
    world.api.plays("a", STIM, Job(seconds=300, error="boom"), Job())
    world.api.fail("run", UnreachableError("no answer"), lost=True)
    assert (await world.apply(stim_only("a", policy={"retries": 1}))).code is ExitCode.OK
