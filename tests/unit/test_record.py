"""What a lockfile says after an observation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import (
    MODEL,
    SPEC,
    UNREADABLE,
    declare,
    live_repo,
    prompt,
    prompt_id,
    recorded,
    repo,
    repo_id,
    settled,
    target,
    target_id,
)

from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import LockedPrompt, LockedRepo, LockedStage, LockedTarget
from reconciler.core.planning.record import LONGEST_ERROR
from reconciler.lockfile import render

DESIRED = declare(repo(), prompt(), target(num_traj_per_stimulus=5))
DIGEST = DESIRED.targets[target_id()].digest
CONFIG = {**SPEC, "num_traj_per_stimulus": 5}
LOCK = recorded(DESIRED, settled(DESIRED, {}))


def live(**stages: Any) -> Any:
    return {"coding": live_repo(targets={"t": {"config": CONFIG, **stages}})}


def stim(**stage: Any) -> LockedStage:
    """Return what is recorded of a stim stage that is first seen now."""
    return recorded(DESIRED, live(stim=stage)).targets[target_id()].stages[Stage.STIM]


def test_what_converged_is_recorded_whole() -> None:
    assert LOCK.repos == {repo_id(): LockedRepo(MODEL)}
    assert LOCK.prompts == {
        prompt_id(): LockedPrompt(DESIRED.prompts[prompt_id()].digest, "expert")
    }
    assert LOCK.targets == {
        target_id(): LockedTarget(
            DIGEST,
            "t",
            prevent_destroy=True,
            stages={
                Stage.STIM: LockedStage("complete", lines=2, expected=2),
                Stage.ROLLOUT: LockedStage("complete", lines=10, expected=10),
            },
        )
    }


def test_what_is_not_wanted_is_not_recorded() -> None:
    desired = declare(target(desired={"rollout": "none"}))
    lock = recorded(desired, {"coding": live_repo(targets={"t": {"config": SPEC}})})
    assert list(lock.targets[target_id()].stages) == [Stage.STIM]


def test_a_manifest_that_allows_destruction_is_remembered() -> None:
    desired = declare(target(policy={"prevent_destroy": False}))
    lock = recorded(desired, settled(desired, {"coding": live_repo()}))
    assert not lock.targets[target_id()].prevent_destroy


def test_what_runs_is_recorded_as_it_runs() -> None:
    assert stim(status="running", lines=1) == LockedStage("running", lines=1, expected=2)


def test_while_a_stim_runs_its_rollout_is_expected_in_full() -> None:
    lock = recorded(DESIRED, live(stim={"status": "running", "lines": 1}))
    assert lock.targets[target_id()].stages[Stage.ROLLOUT].expected == 10


def test_a_failure_is_recorded_with_its_reason_and_the_attempt() -> None:
    seen = stim(status="failed", lines=1, error="out of memory")
    assert seen == LockedStage("failed", 1, expected=2, attempts=1, error="out of memory")


def test_of_a_long_reason_the_beginning_is_recorded() -> None:
    longest = "x" * LONGEST_ERROR
    assert stim(status="failed", error=longest).error == longest
    kept = stim(status="failed", error="out of memory " * 2_000).error
    assert kept is not None
    assert len(kept) <= LONGEST_ERROR
    assert kept.startswith("out of memory out")
    assert kept.endswith("…")


def test_a_long_reason_leaves_the_lockfile_alone_the_second_time() -> None:
    failed = live(stim={"status": "failed", "error": "out of memory, " * 2_000})
    first = recorded(DESIRED, failed)
    assert render(recorded(DESIRED, failed, first)) == render(first)


@pytest.mark.parametrize("status", ["pending", "running", "not_started", "failed"])
def test_attempts_are_kept_while_a_stage_is_not_complete(status: str) -> None:
    entry = LOCK.targets[target_id()]
    tried = replace(entry, stages={Stage.STIM: LockedStage("failed", 0, attempts=2)})
    lock = replace(LOCK, targets={target_id(): tried})
    again = recorded(DESIRED, live(stim={"status": status}), lock)
    assert again.targets[target_id()].stages[Stage.STIM].attempts == 2


def test_a_revision_is_recorded_under_the_declared_name() -> None:
    desired = declare(target(policy={"on_change": "revise"}))
    other = {"config": {**SPEC, "teacher_prompt": "plain"}}
    before = {"coding": live_repo(targets={"t": other})}
    lock = recorded(desired, settled(desired, before))
    assert lock.targets[target_id()].live_name == f"t-{desired.targets[target_id()].digest[7:15]}"


class TestOutputDigest:
    output = "sha256:" + "7" * 64

    def lock(self) -> Any:
        entry = LOCK.targets[target_id()]
        pulled = replace(entry.stages[Stage.STIM], output=self.output)
        stages = {**entry.stages, Stage.STIM: pulled}
        return replace(LOCK, targets={target_id(): replace(entry, stages=stages)})

    @pytest.mark.parametrize(
        ("stage", "kept"),
        [
            ({"status": "complete", "lines": 2}, True),
            ({"status": "complete", "lines": 1}, False),
            ({"status": "running", "lines": 2}, False),
        ],
    )
    def test_it_is_that_of_unchanged_outputs(self, stage: Any, kept: bool) -> None:
        again = recorded(DESIRED, live(stim=stage), self.lock())
        found = again.targets[target_id()].stages[Stage.STIM].output
        assert found == (self.output if kept else None)


class TestWhatStays:
    @pytest.mark.parametrize(
        "gap",
        [
            {"coding": UNREADABLE},
            {"coding": {"base_model": MODEL, "prompts": UNREADABLE, "targets": UNREADABLE}},
            {"coding": live_repo(targets={"t": UNREADABLE})},
            live(stim=UNREADABLE),
        ],
    )
    def test_what_cannot_be_read_keeps_its_entry(self, gap: Any) -> None:
        again = recorded(DESIRED, gap, LOCK)
        assert again.targets[target_id()].stages[Stage.STIM].lines == 2
        assert again.targets[target_id()].live_name == "t"
        assert again.ids() == LOCK.ids()

    def test_what_is_blocked_keeps_its_entry(self) -> None:
        changed = declare(repo(), prompt(content="Be brief."), target(num_traj_per_stimulus=5))
        assert recorded(changed, settled(DESIRED, {}), LOCK) == LOCK

    def test_what_was_not_selected_keeps_its_entry(self) -> None:
        scope = frozenset({repo_id(), prompt_id(), target_id()})
        selected = replace(declare(), out_of_scope=scope)
        assert recorded(selected, {}, LOCK) == LOCK

    def test_an_orphan_keeps_its_entry_while_it_lives(self) -> None:
        assert recorded(declare(repo(), prompt()), settled(DESIRED, {}), LOCK) == LOCK


class TestWhatGoes:
    def test_what_is_gone_loses_its_entry(self) -> None:
        again = recorded(DESIRED, {"coding": live_repo()}, LOCK)
        assert again.ids() == {repo_id(), prompt_id()}

    def test_with_its_repo_everything_is_gone(self) -> None:
        assert recorded(DESIRED, {}, LOCK).ids() == frozenset()

    def test_an_orphan_that_is_gone_loses_its_entry(self) -> None:
        again = recorded(declare(repo(), prompt()), {"coding": live_repo()}, LOCK)
        assert again.ids() == {repo_id(), prompt_id()}

    @pytest.mark.parametrize(("live_name", "kept"), [("t-12345678", True), ("t", False)])
    def test_an_orphan_is_looked_for_under_its_live_name(self, live_name: str, kept: bool) -> None:
        entry = replace(LOCK.targets[target_id()], live_name="t-12345678")
        lock = replace(LOCK, targets={target_id(): entry})
        seen = {"coding": live_repo(targets={live_name: {"config": SPEC}})}
        again = recorded(declare(repo(), prompt()), seen, lock)
        assert (target_id() in again.targets) is kept
