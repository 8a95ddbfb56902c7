"""What a plan may not do, whatever led to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import (
    Live,
    declare,
    live_repo,
    planned,
    project,
    prompt,
    recorded,
    repo,
    settled,
    target,
    target_id,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import opened, situations

from reconciler.core.errors import ExitCode
from reconciler.core.model.plan import Estimate, Plan, Reason, Verb
from reconciler.core.planning.estimate import total
from reconciler.core.planning.gates import refuse_destruction, refuse_many_deletions

if TYPE_CHECKING:
    from strategies import Situation

FREELY: dict[str, Any] = {"on_change": "replace", "prevent_destroy": False}
DELETABLE = {"prevent_destroy": False}


def verbs(plan: Plan) -> list[tuple[str, str]]:
    """Return what is to happen to targets and their stages."""
    return [
        (action.resource.name, f"{action.verb} {action.stage or ''}".strip())
        for action in plan.changes
        if action.resource.name and action.kind == "Target"
    ]


def orphaned(count: int) -> Plan:
    """Return the plan that prunes so many targets."""
    names = [f"t{number}" for number in range(count)]
    before = declare(repo(), prompt(), target(), *(target(n, policy=DELETABLE) for n in names))
    live = settled(before, {})
    lock = recorded(before, live)
    return planned(declare(repo(), prompt(), target()), live, lock, prune=True)


class TestManyDeletions:
    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_as_many_as_allowed_are_no_concern(self, count: int) -> None:
        plan = orphaned(count)
        assert plan.count(Verb.DELETE) == count
        assert refuse_many_deletions(plan, count) is plan

    @pytest.mark.parametrize("count", [1, 3])
    def test_of_one_too_many_none_is_left(self, count: int) -> None:
        plan = refuse_many_deletions(orphaned(count), count - 1)
        assert plan.count(Verb.DELETE) == 0
        assert {action.reason for action in plan.blocked} == {Reason.TOO_MANY_DELETIONS}
        assert len(plan.blocked) == count
        assert plan.exit_code is ExitCode.BLOCKED
        assert not any(action.destructive for action in plan.actions)

    def test_both_numbers_and_the_option_are_told(self) -> None:
        [action, *_] = refuse_many_deletions(orphaned(3), 2).blocked
        assert "3 targets" in action.message
        assert "--max-deletions allows 2" in action.message

    def test_everything_else_goes_on(self) -> None:
        before = declare(repo(), prompt(), target(), target("gone", policy=DELETABLE))
        live = settled(before, {})
        after = declare(repo(), prompt(), target(), target("new"))
        plan = planned(after, live, recorded(before, live), prune=True)
        assert verbs(refuse_many_deletions(plan, 0)) == [
            ("new", "create"),
            ("new", "run stim"),
            ("new", "run rollout"),
            ("gone", "blocked"),
        ]


class TestDestruction:
    #: A template, what uses it, what uses that, and one on its own.
    BEFORE = (
        repo(),
        prompt(),
        target("base", policy=FREELY),
        target("alone"),
    )

    @pytest.fixture
    def live(self) -> Live:
        return settled(declare(*self.BEFORE), {})

    def refused(self, live: Live, *changed: Any) -> Plan:
        desired = declare(repo(), prompt(), target("base", policy=FREELY, max_tokens=9), *changed)
        return refuse_destruction(planned(desired, live), desired)

    def test_a_replacement_is_blocked_with_its_stages(self, live: Live) -> None:
        plan = self.refused(live)
        assert verbs(plan) == [("base", "blocked")]
        assert plan.blocked[0].reason is Reason.DESTROY_NOT_ALLOWED
        assert plan.estimate == Estimate()
        assert plan.estimates == {}

    def test_its_diff_and_what_would_be_lost_are_still_told(self, live: Live) -> None:
        [action] = self.refused(live).blocked
        assert [diff.path for diff in action.diff] == ["max_tokens"]
        assert "2 stim lines" in action.message

    def test_what_would_be_built_on_it_is_blocked_down_the_chain(self, live: Live) -> None:
        plan = self.refused(
            live,
            target("leaf", spec={"template": "base"}),
            target("twig", spec={"template": "leaf"}),
        )
        assert dict(verbs(plan)) == dict.fromkeys(("base", "leaf", "twig"), "blocked")
        assert plan.estimates == {}

    def test_a_revision_that_would_be_built_on_it_is_blocked_too(self) -> None:
        child = target("leaf", spec={"template": "base"}, policy={"on_change": "revise"})
        before = settled(declare(*self.BEFORE, child), {})
        plan = self.refused(before, child)
        assert dict(verbs(plan)) == {"base": "blocked", "leaf": "blocked"}
        assert plan.estimate == Estimate()

    def test_what_has_nothing_to_do_with_it_goes_on(self, live: Live) -> None:
        plan = self.refused(live, target("alone"), target("new"))
        assert ("new", "run rollout") in verbs(plan)
        assert plan.estimates.keys() == {target_id("new")}
        assert plan.estimate == total(plan.estimates)

    def test_without_anything_destructive_the_plan_is_as_it_was(self) -> None:
        desired = declare(*self.BEFORE)
        plan = planned(desired, {})
        assert refuse_destruction(plan, desired) is plan

    @given(situations(), st.booleans())
    def test_afterwards_nothing_destroys_and_the_sums_are_right(
        self, situation: Situation, prune: bool
    ) -> None:
        desired, live = opened(situation)
        lock = recorded(desired, live)
        before = planned(desired, live, lock, prune=prune)
        plan = refuse_destruction(before, desired)
        assert not any(action.destructive for action in plan.actions)
        stopped = {action.resource for action in plan.blocked if action.stage is None}
        assert not [a for a in plan.actions if a.stage and a.resource in stopped]
        assert not stopped & plan.estimates.keys()
        assert plan.estimate == total(plan.estimates)
        assert plan.converged == before.converged


class TestBudget:
    def plan(self, limit: int | None, live: Live | None = None) -> Plan:
        budget = {} if limit is None else {"budget": {"max_new_trajectories": limit}}
        five = target(num_traj_per_stimulus=5)
        desired = declare(project(**budget), repo(), prompt(), five, target("stim", **STIM_ONLY))
        return planned(desired, live or {})

    @pytest.mark.parametrize("limit", [None, 11, 10])
    def test_what_is_within_it_goes_on(self, limit: int | None) -> None:
        plan = self.plan(limit)
        assert plan.estimate.trajectories == 10
        assert plan.blocked == ()

    @pytest.mark.parametrize("limit", [9, 0])
    def test_what_is_beyond_it_is_led_by_a_refusal(self, limit: int) -> None:
        plan = self.plan(limit)
        assert plan.actions[0].reason is Reason.BUDGET_EXCEEDED
        assert plan.actions[0].kind == "Project"
        assert plan.exit_code is ExitCode.BLOCKED
        assert f"10 new trajectories planned, {limit} allowed" in plan.actions[0].message
        assert plan.count(Verb.CREATE) == 4

    def test_what_is_there_already_costs_nothing_more(self) -> None:
        live = settled(declare(repo(), prompt(), target(num_traj_per_stimulus=5)), {})
        assert self.plan(0, live).blocked == ()

    def test_what_runs_already_is_no_new_spending(self) -> None:
        config = {**target(num_traj_per_stimulus=5)["spec"]}
        stim = {"status": "complete", "lines": 2}
        running = {"config": config, "stim": stim, "rollout": {"status": "running"}}
        plan = self.plan(0, {"coding": live_repo(targets={"t": running})})
        assert plan.estimate.trajectories == 0
        assert plan.blocked == ()


STIM_ONLY: dict[str, Any] = {"desired": {"rollout": "none"}}
