"""What to do about one stage: the rows of the contract's table, one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import declare, prompt, repo, target, target_id
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model.desired import DesiredStage, DesiredTarget, OnShortfall, Policy, Stage
from reconciler.core.model.lock import LockedStage, LockedTarget
from reconciler.core.model.observed import LiveStage
from reconciler.core.model.plan import Reason, Verb
from reconciler.core.planning.stages import StageDecision, attempts_of, decide, failed_attempts

WANT = DesiredStage(wanted=True, min_lines=10, timeout=60, reach=10)


def decided(live: LiveStage, *, attempts: int = 0, policy: Policy | None = None) -> StageDecision:
    return decide(WANT, live, attempts, policy or Policy())


@pytest.mark.parametrize(
    ("live", "verb", "reason"),
    [
        (LiveStage("not_started"), Verb.RUN, Reason.NOT_STARTED),
        (LiveStage("pending"), Verb.WAIT, Reason.IN_PROGRESS),
        (LiveStage("running", lines=10), Verb.WAIT, Reason.IN_PROGRESS),
        (LiveStage("Complete", lines=10), Verb.WAIT, Reason.UNKNOWN_STATUS),
        (LiveStage("cancelled"), Verb.WAIT, Reason.UNKNOWN_STATUS),
        (LiveStage("complete"), Verb.WAIT, Reason.UNKNOWN_STATUS),
        (LiveStage("complete", lines=10), Verb.UNCHANGED, Reason.CONVERGED),
        (LiveStage("complete", lines=11), Verb.UNCHANGED, Reason.CONVERGED),
        (LiveStage("complete", lines=9), Verb.BLOCKED, Reason.SHORTFALL),
        (LiveStage("failed"), Verb.RUN, Reason.FAILED),
    ],
)
def test_each_status_has_its_action(live: LiveStage, verb: Verb, reason: Reason) -> None:
    found = decided(live)
    assert (found.verb, found.reason) == (verb, reason)


@pytest.mark.parametrize(
    ("policy", "verb", "reason"),
    [
        (OnShortfall.FAIL, Verb.BLOCKED, Reason.SHORTFALL),
        (OnShortfall.ACCEPT, Verb.UNCHANGED, Reason.SHORTFALL_ACCEPTED),
        (OnShortfall.REPLACE, Verb.REPLACE, Reason.SHORTFALL),
    ],
)
def test_each_policy_deals_with_a_shortfall(
    policy: OnShortfall, verb: Verb, reason: Reason
) -> None:
    found = decided(LiveStage("complete", lines=0), policy=Policy(on_shortfall=policy))
    assert (found.verb, found.reason) == (verb, reason)


@given(st.integers(0, 5), st.integers(0, 5))
def test_a_failed_stage_runs_while_attempts_are_left(retries: int, attempts: int) -> None:
    found = decided(LiveStage("failed"), attempts=attempts, policy=Policy(retries=retries))
    assert found.verb is (Verb.RUN if max(attempts, 1) <= retries else Verb.BLOCKED)


def test_a_failure_is_told_in_the_words_of_the_service() -> None:
    assert decided(LiveStage("failed", error="out of memory")).message == "out of memory"


@pytest.mark.parametrize("status", ["not_started", "running", "failed", "no such thing"])
def test_only_what_is_complete_lets_the_next_stage_begin(status: str) -> None:
    assert not decided(LiveStage(status, lines=99)).satisfied


def test_an_accepted_shortfall_lets_the_next_stage_begin() -> None:
    accepting = Policy(on_shortfall=OnShortfall.ACCEPT)
    assert decided(LiveStage("complete", lines=1), policy=accepting).satisfied


def declared(**spec: Any) -> DesiredTarget:
    return declare(repo(), prompt(), target(**spec)).targets[target_id()]


class TestAttempts:
    target, other = declared(), declared(max_tokens=7)
    locked = LockedTarget(
        target.digest, "t", stages={Stage.STIM: LockedStage("failed", 0, attempts=3)}
    )

    def test_attempts_are_those_of_the_same_config_and_name(self) -> None:
        assert attempts_of(self.locked, self.target, "t", Stage.STIM) == 3
        assert attempts_of(self.locked, self.other, "t", Stage.STIM) == 0
        assert attempts_of(self.locked, self.target, "t-12345678", Stage.STIM) == 0

    def test_attempts_are_counted_by_stage(self) -> None:
        assert attempts_of(self.locked, self.target, "t", Stage.ROLLOUT) == 0

    def test_nothing_is_known_without_a_lockfile(self) -> None:
        assert attempts_of(None, self.target, "t", Stage.STIM) == 0

    def test_what_has_failed_was_run_once_at_least(self) -> None:
        assert [failed_attempts(known) for known in (0, 1, 2)] == [1, 1, 2]


def test_no_lines_wanted_are_enough() -> None:
    want = replace(WANT, min_lines=0)
    assert decide(want, LiveStage("complete", lines=0), 0, Policy()).satisfied
