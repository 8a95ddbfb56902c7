"""What the runs of a plan would produce, target by target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import (
    SPEC,
    declare,
    live_repo,
    planned,
    prompt,
    repo,
    settled,
    target,
    target_id,
)
from hypothesis import given
from strategies import opened, situations

from reconciler.core.model.plan import Estimate, Plan, Verb

if TYPE_CHECKING:
    from strategies import Situation

UNTOLD = {**SPEC, "generators": [{"type": "from_dataset", "dataset": "faq"}]}


def plan(*targets: Any, live: Any = None) -> Plan:
    return planned(declare(repo(), prompt(), *targets), live or {})


def of(*targets: Any, live: Any = None) -> Estimate:
    return plan(*targets, live=live).estimate


def with_target(spec: Any, **stages: Any) -> Any:
    return {"coding": live_repo(targets={"t": {"config": spec, **stages}})}


def test_each_target_has_its_own_and_all_have_a_sum() -> None:
    found = plan(target(max_tokens=10), target("u", num_traj_per_stimulus=3, max_tokens=5))
    assert found.estimates == {
        target_id("t"): Estimate(2, 2, 20),
        target_id("u"): Estimate(2, 6, 30),
    }
    assert found.estimate == Estimate(4, 8, 50)


def test_only_what_runs_is_counted() -> None:
    declared = declare(repo(), prompt(), target())
    assert planned(declared, settled(declared, {})).estimates == {}
    stages = {"stim": {"status": "complete", "lines": 2}, "rollout": {"status": "running"}}
    assert of(target(), live=with_target(SPEC, **stages)) == Estimate()


def test_what_follows_a_running_job_counts() -> None:
    live = with_target(SPEC, stim={"status": "running", "lines": 1})
    assert plan(target(), live=live).estimates == {target_id("t"): Estimate(0, 2, None)}


def test_a_stage_that_is_not_wanted_costs_nothing() -> None:
    assert of(target(max_tokens=10, desired={"rollout": "none"})) == Estimate(2, 0, 0)
    assert of(target(desired={"stim": "none"})) == Estimate()


def test_a_yield_that_nobody_tells_counts_with_what_is_wanted() -> None:
    wanted = {"stim": {"min_lines": 7}, "rollout": {"min_lines": 30}}
    assert of(target(spec=UNTOLD, max_tokens=2, desired=wanted)) == Estimate(7, 30, 60)
    assert of(target(spec=UNTOLD, max_tokens=2)) == Estimate(1, 1, 2)


def test_of_a_finished_stim_the_real_lines_count() -> None:
    spec = {**UNTOLD, "num_traj_per_stimulus": 4, "max_tokens": 3}
    stim = {"status": "complete", "lines": 6}
    assert of(target(spec=spec), live=with_target(spec, stim=stim)) == Estimate(0, 24, 72)


def test_a_job_that_is_tried_again_counts_in_full() -> None:
    failed = {"status": "failed", "lines": 1, "error": "out of memory"}
    live = with_target({**SPEC, "max_tokens": 3}, stim=failed)
    assert of(target(max_tokens=3), live=live) == Estimate(2, 2, 6)


def test_a_bound_that_is_not_declared_is_that_of_the_live_config() -> None:
    live = with_target({**SPEC, "max_tokens": 100}, stim={"status": "complete", "lines": 2})
    assert of(target(), live=live) == Estimate(0, 2, 200)
    assert of(target(max_tokens=None), live=live) == Estimate(0, 2, 200)


def test_a_bound_may_come_from_a_template() -> None:
    leaf = target("u", spec={"template": "t"})
    assert plan(target(max_tokens=10), leaf).estimates[target_id("u")] == Estimate(2, 2, 20)


@pytest.mark.parametrize("bounds", [(None, None), (10, None), (None, 10)])
def test_one_target_without_a_bound_leaves_the_sum_without_one(
    bounds: tuple[int | None, int | None],
) -> None:
    one, other = bounds
    found = of(target(max_tokens=one), target("u", max_tokens=other))
    assert found == Estimate(4, 4, None)


def test_a_target_without_trajectories_does_not_spoil_the_bound() -> None:
    found = of(target(max_tokens=10), target("u", desired={"rollout": "none"}))
    assert found == Estimate(4, 2, 20)


def test_nonsense_in_the_live_config_is_no_bound() -> None:
    live = with_target({**SPEC, "max_tokens": "many"}, stim={"status": "complete", "lines": 2})
    assert of(target(), live=live) == Estimate(0, 2, None)


@given(situations())
def test_the_parts_are_the_sum_and_belong_to_runs(situation: Situation) -> None:
    desired, live = opened(situation)
    found = planned(desired, live)
    assert sum(found.estimates.values(), Estimate()) == found.estimate
    running = {action.resource for action in found.actions if action.verb is Verb.RUN}
    assert found.estimates.keys() == running
    assert all(part.stim_lines >= 0 <= part.trajectories for part in found.estimates.values())
