"""Plans without a connection: manifests against the lockfile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import (
    API_URL,
    declare,
    live_repo,
    planned,
    prompt,
    prompt_id,
    recorded,
    repo,
    settled,
    target,
    target_id,
)
from hypothesis import given
from strategies import opened, situations

from reconciler.core.errors import ExitCode
from reconciler.core.model.plan import Plan, Reason, Verb
from reconciler.core.planning.offline import SINCE, belongs, compute_offline_plan

if TYPE_CHECKING:
    from strategies import Situation

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock

DESIRED = declare(repo(), prompt(), target())
LOCK = recorded(DESIRED, settled(DESIRED, {}))


def offline(desired: Desired, lock: Lock | None = LOCK) -> Plan:
    return compute_offline_plan(desired, lock, api_url=API_URL)


def test_what_the_lockfile_knows_is_converged() -> None:
    plan = offline(DESIRED)
    assert plan.offline
    assert plan.changes == ()
    assert plan.exit_code is ExitCode.OK


def test_without_a_lockfile_everything_is_missing() -> None:
    found = {action.reason for action in offline(DESIRED, None).actions if not action.stage}
    assert found == {Reason.MISSING}


def test_a_change_is_told_without_guessing_which() -> None:
    [action] = offline(declare(repo(), prompt(), target(max_tokens=1))).changes
    assert (action.verb, action.reason, action.diff) == (Verb.BLOCKED, Reason.CONFIG_CHANGED, ())
    assert action.message == SINCE


def test_a_changed_prompt_is_told_with_its_targets() -> None:
    revising = declare(repo(), prompt(content="Be brief.", on_change="revise"), target())
    found = [(action.verb, action.resource) for action in offline(revising).changes]
    assert found == [(Verb.REVISE, prompt_id()), (Verb.BLOCKED, target_id())]


def test_what_is_not_declared_is_taken_to_exist() -> None:
    desired = declare(target(spec={"template": "made-by-hand", "student_prompt": "plain"}))
    assert {action.verb for action in offline(desired, None).actions} == {Verb.CREATE, Verb.RUN}


def test_what_is_not_declared_is_taken_to_exist_in_a_repo_that_no_lockfile_knows() -> None:
    desired = declare(repo(), target(student_prompt="plain"))
    assert Verb.BLOCKED not in {action.verb for action in offline(desired, None).actions}


def test_a_revision_on_record_is_known() -> None:
    revised = declare(repo(), prompt(), target(max_tokens=1, policy={"on_change": "revise"}))
    live = settled(revised, settled(DESIRED, {}), LOCK)
    plan = offline(revised, recorded(revised, live, LOCK))
    assert plan.changes == ()
    assert plan.live_names[target_id()].startswith("t-")


@given(situations())
def test_offline_and_live_agree_on_what_has_converged(situation: Situation) -> None:
    desired, live = opened(situation)
    after = settled(desired, live)
    lock = recorded(desired, after)
    if planned(desired, after, lock).converged:
        assert offline(desired, lock).converged


class TestBelongs:
    def test_a_lockfile_belongs_to_the_manifests_it_was_written_for(self) -> None:
        assert belongs(DESIRED, LOCK) == []

    def test_without_a_lockfile_everything_is_new(self) -> None:
        assert belongs(DESIRED, None) == [
            "prompt coding/expert is not in the lockfile",
            "repo coding is not in the lockfile",
            "target coding/t is not in the lockfile",
        ]

    def test_every_difference_is_told(self) -> None:
        desired = declare(repo(), prompt(content="Be brief."), target("new", teacher_prompt="x"))
        assert belongs(desired, LOCK) == [
            "target coding/new is not in the lockfile",
            "target coding/t is in the lockfile, but not declared",
            "prompt coding/expert has changed since the lockfile was written",
        ]


def test_progress_on_record_is_waited_for() -> None:
    running = {"t": {"config": {}, "stim": {"status": "running", "lines": 1}}}
    desired = declare(target(spec={"template": "made-by-hand"}))
    lock = recorded(desired, {"coding": live_repo(targets=running)})
    assert Verb.WAIT in {action.verb for action in offline(desired, lock).actions}
