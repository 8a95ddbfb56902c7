"""Which outputs can be pulled, and why others cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import SPEC, UNREADABLE, declare, live_repo, look, recorded, target, target_id

from reconciler.core.errors import ExitCode
from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock
from reconciler.core.model.outputs import Output, Pulled, PullResult, Verdict
from reconciler.core.planning.outputs import choose
from reconciler.core.selection.scope import Scope, narrow

DIGEST = "sha256:" + 64 * "a"
BOTH = tuple(Stage)
DONE = {"status": "complete", "lines": 2}


def stages(name: str = "t", **seen: Any) -> Any:
    return {"coding": live_repo(targets={name: {"config": SPEC, **seen}})}


def chosen(live: Any, *manifests: Any, lock: Lock | None = None, of: Any = BOTH) -> Any:
    desired = declare(*(manifests or [target()]))
    return choose(desired, look(live, desired, lock), lock, of)


def pulled_before(live: Any, *manifests: Any) -> Lock:
    """Return a lockfile that records the outputs of ``t`` as pulled."""
    lock = recorded(declare(*(manifests or [target()])), live)
    entry = lock.targets[target_id()]
    with_output = {stage: replace(it, output=DIGEST) for stage, it in entry.stages.items()}
    return replace(lock, targets={target_id(): replace(entry, stages=with_output)})


def test_complete_stages_can_be_pulled() -> None:
    live = stages(stim=DONE, rollout={"status": "complete", "lines": 2})
    lock = pulled_before(live)
    assert chosen(live, lock=lock) == (
        Output(target_id(), Stage.STIM, "t", 2, DIGEST),
        Output(target_id(), Stage.ROLLOUT, "t", 2, DIGEST),
    )
    assert chosen(live, of=[Stage.ROLLOUT]) == (Output(target_id(), Stage.ROLLOUT, "t", 2),)


def test_a_stage_that_is_not_wanted_is_left_alone() -> None:
    live = stages(stim=DONE, rollout=DONE)
    found = chosen(live, target(desired={"rollout": "none"}))
    assert [item.stage for item in found] == [Stage.STIM]


def test_a_revision_is_pulled_under_its_live_name() -> None:
    changed = target(policy={"on_change": "revise"}, max_tokens=9)
    revised = declare(changed).targets[target_id()].digest.removeprefix("sha256:")[:8]
    config = {"config": {**SPEC, "max_tokens": 9}, "stim": DONE, "rollout": DONE}
    live = {"coding": live_repo(targets={"t": {"config": SPEC}, f"t-{revised}": config})}
    assert [item.live_name for item in chosen(live, changed)] == [f"t-{revised}"] * 2


def test_what_was_pulled_of_another_revision_is_known_but_not_recorded_of_this_one() -> None:
    done = {"config": {**SPEC, "max_tokens": 9}, "stim": DONE, "rollout": DONE}
    before = stages(stim=DONE, rollout=DONE)
    lock = pulled_before(before)
    changed = declare(target(policy={"on_change": "revise"}, max_tokens=9))
    name = f"t-{changed.targets[target_id()].digest.removeprefix('sha256:')[:8]}"
    live = {"coding": live_repo(targets={"t": {"config": SPEC}, name: done})}
    found = choose(changed, look(live, changed, lock), lock, BOTH)
    assert [item.recorded for item in found if isinstance(item, Output)] == [DIGEST] * 2
    entry = recorded(changed, live, lock).targets[target_id()]
    assert [entry.stages[stage].output for stage in Stage] == [None, None]
    kept = recorded(declare(target()), before, lock).targets[target_id()]
    assert [kept.stages[stage].output for stage in Stage] == [DIGEST] * 2


@pytest.mark.parametrize(
    ("live", "verdict", "words"),
    [
        (stages(stim=DONE, rollout={"status": "running", "lines": 1}), Verdict.PENDING, "running"),
        (stages(stim=DONE), Verdict.PENDING, "not started"),
        (stages(stim={"status": "running"}), Verdict.PENDING, "not started"),
        (stages(stim=DONE, rollout={"status": "dreaming"}), Verdict.PENDING, "dreaming"),
        (stages(stim=DONE, rollout={"status": "complete"}), Verdict.PENDING, "no line count"),
        (stages(stim=DONE, rollout=UNREADABLE), Verdict.FAILED, "does not answer"),
        (stages(stim=UNREADABLE), Verdict.FAILED, "does not answer"),
        (
            stages(stim=DONE, rollout={"status": "failed", "error": "Out of memory"}),
            Verdict.PENDING,
            "Out of memory",
        ),
        ({"coding": live_repo()}, Verdict.PENDING, "yet to be created"),
        ({"coding": UNREADABLE}, Verdict.FAILED, "does not answer"),
        (
            {"coding": live_repo(targets={"t": {"config": {**SPEC, "max_tokens": 1}}})},
            Verdict.BLOCKED,
            "not as declared",
        ),
    ],
)
def test_what_cannot_be_pulled_says_why(live: Any, verdict: Verdict, words: str) -> None:
    declared = target(max_tokens=2) if verdict is Verdict.BLOCKED else target()
    [found] = chosen(live, declared, of=[Stage.ROLLOUT])
    assert isinstance(found, Pulled)
    assert found.verdict is verdict
    assert words in found.message


@pytest.mark.parametrize(("policy", "verdict"), [("replace", "blocked"), ("revise", "pending")])
def test_a_target_that_is_to_be_made_anew_is_not_said_to_be_missing(
    policy: str, verdict: str
) -> None:
    declared = target(max_tokens=9, policy={"on_change": policy})
    [found] = chosen(stages(stim=DONE, rollout=DONE), declared, of=[Stage.STIM])
    assert isinstance(found, Pulled)
    assert str(found.verdict) == verdict
    assert "the target has yet" not in found.message


def test_a_job_that_failed_for_good_is_blocked() -> None:
    live = stages(stim={"status": "failed", "error": "Out of memory"})
    [found] = chosen(live, target(policy={"retries": 0}), of=[Stage.STIM])
    assert found.verdict is Verdict.BLOCKED


def test_templates_that_were_only_drawn_in_are_left_alone() -> None:
    everything = declare(target("base"), target("t", template="base"))
    desired = narrow(everything, Scope(targets=("coding/t",)))
    live = {
        "coding": live_repo(
            targets={n: {"config": SPEC, "stim": DONE, "rollout": DONE} for n in ("base", "t")}
        )
    }
    found = choose(desired, look(live, desired), None, BOTH)
    assert {item.resource for item in found} == {target_id("t")}


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((), ExitCode.OK),
        ((Verdict.PULLED, Verdict.REPLACED, Verdict.UNCHANGED), ExitCode.OK),
        ((Verdict.PULLED, Verdict.PENDING), ExitCode.PENDING),
        ((Verdict.UNRECORDED,), ExitCode.PENDING),
        ((Verdict.PENDING, Verdict.CHANGED), ExitCode.BLOCKED),
        ((Verdict.PENDING, Verdict.BLOCKED), ExitCode.BLOCKED),
        ((Verdict.BLOCKED, Verdict.FAILED), ExitCode.ERROR),
    ],
)
def test_the_worst_output_gives_the_exit_code(
    verdicts: tuple[Verdict, ...], code: ExitCode
) -> None:
    found = (Pulled(target_id(), Stage.STIM, verdict) for verdict in verdicts)
    assert PullResult(tuple(found)).exit_code is code
