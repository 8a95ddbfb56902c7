"""Laws of the lockfile: a record of live state, and the count of attempts that nothing resets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from builders import SPEC, declare, live_repo, planned, recorded, settled, target, target_id
from hypothesis import given
from hypothesis import strategies as st
from strategies import manifests, opened, situations, with_gaps

from reconciler.core.model.desired import Stage
from reconciler.core.model.plan import Verb
from reconciler.lockfile import parse, render

if TYPE_CHECKING:
    from builders import Live, Manifest
    from strategies import Situation

    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId


@given(situations(), st.data())
def test_recording_twice_records_the_same(situation: Situation, data: st.DataObject) -> None:
    desired, live = opened(situation)
    seen = data.draw(with_gaps(live))
    once = recorded(desired, seen)
    assert recorded(desired, seen, once) == once


@given(manifests(), manifests())
def test_a_lost_lockfile_is_brought_back(before: list[Manifest], declared: list[Manifest]) -> None:
    earlier, desired = declare(*before), declare(*declared)
    then = settled(earlier, {})
    now = settled(desired, then)
    kept = recorded(desired, now, recorded(earlier, then))
    fresh = recorded(desired, now)
    unsettled = {action.resource for action in planned(desired, now).blocked}
    for id_, entry in entries(fresh).items():
        assert entries(kept)[id_] == entry
    assert entries(kept).keys() - entries(fresh).keys() <= unsettled | (kept.ids() - desired.ids())


@given(situations())
def test_a_lockfile_survives_its_text(situation: Situation) -> None:
    lock = recorded(*opened(situation))
    assert parse(render(lock), "reconciler.lock") == lock


@given(st.integers(0, 4), st.sampled_from(Stage), st.lists(st.sampled_from(["failed", "running"])))
def test_a_failing_stage_runs_no_more_often_than_allowed(
    retries: int, stage: Stage, observations: list[str]
) -> None:
    desired = declare(target(policy={"retries": retries}))
    job = {"status": "failed", "lines": 1, "error": "out of memory"}
    live = live_repo(targets={"t": {"config": SPEC, **stages_with(stage, job)}})
    lock, runs = recorded(desired, {"coding": live}), 0
    for _ in range(retries + 3):
        for status in [*observations, "failed"]:
            job["status"] = status
            lock = recorded(desired, {"coding": live}, lock)
        plan = planned(desired, {"coding": live}, lock)
        if [action.verb for action in plan.actions if action.stage is stage] == [Verb.RUN]:
            lock, runs = counted(lock, stage), runs + 1
        else:
            assert [action.verb for action in plan.actions] == [Verb.BLOCKED]
    assert runs == retries


def entries(lock: Lock) -> dict[ResourceId, object]:
    return {**lock.repos, **lock.prompts, **lock.targets}


def stages_with(stage: Stage, job: Live) -> Live:
    """Return the stages of a target whose one stage is as told, the other complete."""
    done = {"status": "complete", "lines": 2}
    return {str(each): job if each is stage else done for each in Stage}


def counted(lock: Lock, stage: Stage) -> Lock:
    """Count an attempt, as it is done before a failed job is asked for again."""
    entry = lock.targets[target_id()]
    seen = entry.stages[stage]
    stages = {**entry.stages, stage: replace(seen, attempts=max(seen.attempts, 1) + 1)}
    return replace(lock, targets={target_id(): replace(entry, stages=stages)})
