"""Where resources stand after a run, and what of that is worth telling."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from builders import (
    declare,
    live_repo,
    planned,
    project,
    prompt_id,
    recorded,
    repo,
    repo_id,
    settled,
    target,
    target_id,
)
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.errors import ExitCode
from reconciler.core.model.desired import Stage
from reconciler.core.model.events import Outcome, RunResult
from reconciler.core.model.lock import Lock
from reconciler.core.model.plan import Plan, Unknown
from reconciler.core.selection.scope import Scope, narrow
from reconciler.core.watching.standing import (
    WHOLE_RUN,
    Change,
    Standing,
    State,
    Told,
    after,
    on_record,
    remembered,
    transitions,
)

ID = target_id()
OTHER = target_id("u")
DESIRED = declare(repo(), target(), target("u"))
STATES = st.sampled_from(State)


def ran(*outcomes: Outcome) -> RunResult:
    return RunResult(outcomes)


def states(desired: object, result: RunResult, live: object, **more: object) -> dict[str, State]:
    found = after(desired, planned(desired, live), result, **more)  # type: ignore[arg-type]
    return {str(id_): it.state for id_, it in found.items()}


def test_what_failed_because_it_could_not_be_read_is_told_from_what_failed() -> None:
    plan = Plan("", unknown=(Unknown(ID, "no answer"),))
    failed = [Outcome(id_, ExitCode.ERROR, message="why") for id_ in (ID, OTHER)]
    found = after(DESIRED, plan, ran(*failed))
    assert (found[ID].is_unread, found[OTHER].is_unread) == (True, False)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (ExitCode.OK, State.CONVERGED),
        (ExitCode.PENDING, State.RUNNING),
        (ExitCode.BLOCKED, State.BLOCKED),
        (ExitCode.ERROR, State.FAILED),
    ],
)
def test_a_target_stands_as_it_ended(code: ExitCode, state: State) -> None:
    result = ran(Outcome(ID, code, Stage.STIM, "why"), Outcome(OTHER))
    plan = planned(DESIRED, {"coding": live_repo()})
    found = after(DESIRED, plan, result)
    assert found[ID] == Standing(state, Stage.STIM, "why")
    assert found[OTHER].state is State.CONVERGED


def test_what_is_no_target_is_told_only_in_trouble() -> None:
    live = {"coding": live_repo()}
    fine = ran(Outcome(repo_id()), Outcome(ID), Outcome(OTHER))
    assert set(states(DESIRED, fine, live)) == {"coding/t", "coding/u"}
    bad = ran(Outcome(repo_id(), ExitCode.BLOCKED), Outcome(ID), Outcome(OTHER))
    assert states(DESIRED, bad, live)["coding"] is State.BLOCKED


def test_trouble_that_is_over_is_told_of_what_is_no_target_too() -> None:
    result = ran(Outcome(ID), Outcome(OTHER))
    found = states(DESIRED, result, {"coding": live_repo()}, known=[repo_id(), WHOLE_RUN, ID])
    assert found["coding"] is found["project"] is State.CONVERGED


def test_a_plan_that_was_refused_as_a_whole_says_of_each_whether_it_concerns_it() -> None:
    desired = declare(project(budget={"max_new_trajectories": 1}), repo(), target(), target("u"))
    half = narrow(desired, Scope(targets=("coding/t",)))
    live = settled(replace(half, max_new_trajectories=None), {"coding": live_repo()})
    refusal = planned(desired, live).blocked[0]
    found = states(desired, ran(Outcome(refusal.resource, ExitCode.BLOCKED)), live)
    assert found == {
        "docs": State.BLOCKED,
        "coding/t": State.CONVERGED if _is_done(half, live) else State.BLOCKED,
        "coding/u": State.BLOCKED,
    }


def _is_done(desired: object, live: object) -> bool:
    return planned(desired, live).converged  # type: ignore[arg-type]


def test_what_was_only_drawn_in_is_told_only_in_trouble() -> None:
    desired = declare(repo(), target("base"), target("leaf", spec={"template": "base"}))
    part = narrow(desired, Scope(targets=("coding/leaf",)))
    live = {"coding": live_repo()}
    base, leaf = target_id("base"), target_id("leaf")
    assert set(states(part, ran(Outcome(base), Outcome(leaf)), live)) == {"coding/leaf"}
    bad = ran(Outcome(base, ExitCode.ERROR), Outcome(leaf, ExitCode.ERROR))
    assert set(states(part, bad, live)) == {"coding/leaf", "coding/base"}


def lock_of(**stages: dict[str, object]) -> Lock:
    lock = recorded(DESIRED, settled(DESIRED, {"coding": live_repo()}))
    entry = lock.targets[ID]
    changed = {
        stage: replace(seen, **stages.get(stage, {}))  # type: ignore[arg-type]
        for stage, seen in entry.stages.items()
    }
    return replace(lock, targets={**lock.targets, ID: replace(entry, stages=changed)})


@pytest.mark.parametrize(
    ("stages", "state"),
    [
        ({}, State.CONVERGED),
        ({"stim": {"status": "running"}}, State.RUNNING),
        ({"rollout": {"status": "failed", "attempts": 2}}, State.BLOCKED),
        ({"rollout": {"lines": 0}}, State.BLOCKED),
        (
            {"stim": {"status": "running"}, "rollout": {"status": "failed", "attempts": 2}},
            State.BLOCKED,
        ),
    ],
)
def test_the_lockfile_tells_how_targets_stood(
    stages: dict[str, dict[str, object]], state: State
) -> None:
    done = {"status": "complete", "lines": 2}
    whole = {name: {**done, **stages.get(name, {})} for name in ("stim", "rollout")}
    assert on_record(DESIRED, lock_of(**whole))[ID] is state


@pytest.mark.parametrize(
    ("policy", "stage", "state"),
    [
        ({"on_shortfall": "accept"}, {"lines": 0}, State.CONVERGED),
        ({"on_shortfall": "replace"}, {"lines": 0}, State.BLOCKED),
        ({"retries": 1}, {"status": "failed", "attempts": 1}, State.RUNNING),
        ({"retries": 1}, {"status": "failed", "attempts": 2}, State.BLOCKED),
    ],
)
def test_policy_says_how_a_target_on_record_stood(
    policy: dict[str, object], stage: dict[str, object], state: State
) -> None:
    desired = declare(repo(), target(policy=policy))
    done = {"status": "complete", "lines": 2}
    assert on_record(desired, lock_of(stim=done, rollout={**done, **stage}))[ID] is state


def test_a_target_that_changed_since_is_under_way_and_an_unknown_one_is_not_there() -> None:
    lock = lock_of()
    changed = declare(repo(), target(max_tokens=7), target("new"))
    assert on_record(changed, lock) == {ID: State.RUNNING}
    assert on_record(DESIRED, None) == {}


@pytest.mark.parametrize(
    ("was", "now", "change"),
    [
        (State.CONVERGED, State.RUNNING, Change.DIVERGED),
        (State.CONVERGED, State.BLOCKED, Change.BLOCKED),
        (State.RUNNING, State.FAILED, Change.FAILED),
        (State.BLOCKED, State.FAILED, Change.FAILED),
        (State.FAILED, State.RUNNING, Change.RECOVERED),
        (State.BLOCKED, State.CONVERGED, Change.RECOVERED),
        (State.RUNNING, State.CONVERGED, Change.CONVERGED),
    ],
)
def test_a_change_is_told_by_what_it_means(was: State, now: State, change: Change) -> None:
    (told,) = transitions({ID: Told(was)}, {ID: Standing(now)}, now=100.0)
    assert (told.resource, told.change, told.was) == (ID, change, was)


@given(STATES)
def test_what_stays_as_it_is_is_not_told(state: State) -> None:
    assert transitions({ID: Told(state)}, {ID: Standing(state)}, now=1.0) == ()


def test_of_a_target_never_heard_of_all_is_told_but_that_it_runs() -> None:
    def told(state: State) -> list[Change]:
        return [it.change for it in transitions({}, {ID: Standing(state)}, now=1.0)]

    assert told(State.RUNNING) == []
    assert told(State.CONVERGED) == [Change.CONVERGED]
    assert told(State.BLOCKED) == [Change.BLOCKED]


@given(st.lists(STATES, min_size=1, max_size=12), st.integers(0, 5))
def test_nobody_is_told_more_often_than_once_in_a_while_and_at_last_the_truth(
    story: list[State], quiet: int
) -> None:
    told: dict[object, Told] = {ID: Told(State.CONVERGED, -100.0)}
    moments = []
    for now, state in enumerate([*story, *story[-1:] * (quiet + 1)]):
        standings = {ID: Standing(state)}
        sent = transitions(told, standings, now=now, quiet=quiet)  # type: ignore[arg-type]
        told = dict(remembered(told, standings, sent, now=now))  # type: ignore[arg-type]
        moments += [now] * len(sent)
    assert all(b - a >= quiet for a, b in pairwise(moments))
    assert told[ID].state is story[-1]


def test_what_could_not_be_delivered_is_told_again() -> None:
    told = {ID: Told(State.CONVERGED)}
    standings = {ID: Standing(State.FAILED)}
    first = transitions(told, standings, now=1.0)
    told = remembered(told, standings, (), now=1.0)
    assert transitions(told, standings, now=2.0) == first


def test_what_is_gone_is_forgotten_and_what_is_elsewhere_is_kept() -> None:
    told = {ID: Told(State.FAILED, 5.0), OTHER: Told(State.FAILED, 5.0)}
    kept = remembered(told, {}, (), now=9.0, elsewhere=[OTHER])
    assert kept == {OTHER: Told(State.FAILED, 5.0)}


def test_what_is_no_target_is_forgotten_once_it_is_out_of_trouble() -> None:
    told = {prompt_id(): Told(State.BLOCKED)}
    standings = {prompt_id(): Standing(State.CONVERGED)}
    sent = transitions(told, standings, now=1.0)
    assert [it.change for it in sent] == [Change.RECOVERED]
    assert remembered(told, standings, sent, now=1.0) == {}


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    told = {ID: Told(State.CONVERGED, 1000.0)}
    assert transitions(told, {ID: Standing(State.FAILED)}, now=5.0, quiet=60.0)
