"""What a plan tells of outputs that were pulled before, and which it would have compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from builders import (
    API_URL,
    SPEC,
    UNREADABLE,
    declare,
    live_repo,
    look,
    prompt,
    recorded,
    target,
    target_id,
)

from reconciler.core.model.desired import Stage
from reconciler.core.model.outputs import Output
from reconciler.core.planning import compute_plan
from reconciler.core.planning.outputs_pulled import (
    Compared,
    Finding,
    comparable,
    differing,
    outdated,
)
from reconciler.core.selection.scope import Scope, narrow

if TYPE_CHECKING:
    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock

DIGEST = "sha256:" + 64 * "a"
DONE = {"status": "complete", "lines": 2}


def live(*names: str, **seen: Any) -> Any:
    """Return live targets, complete in both stages unless told otherwise."""
    stages = {"stim": DONE, "rollout": DONE, **seen}
    held = {name: {"config": SPEC, **stages} for name in names or ("t",)}
    return {"coding": live_repo(targets=held)}


LIVE = live()


def pulled(*manifests: Any, of: Any = LIVE, stages: Any = tuple(Stage)) -> Lock:
    """Return a lockfile that records these stages of every target as pulled."""
    lock = recorded(declare(*(manifests or [target()])), of)
    targets = {id_: _with_outputs(entry, stages) for id_, entry in lock.targets.items()}
    return replace(lock, targets=targets)


def _with_outputs(entry: Any, stages: Any) -> Any:
    found = {
        stage: replace(it, output=DIGEST) if stage in stages else it
        for stage, it in entry.stages.items()
    }
    return replace(entry, stages=found)


class TestOutdated:
    """A plan tells when a stage no longer stands as its output was pulled."""

    def told(self, seen: Any) -> list[str]:
        desired, lock = declare(target()), pulled()
        return list(outdated(desired, look(seen, desired, lock), lock))

    def test_nothing_is_told_while_all_is_as_it_was(self) -> None:
        assert self.told(LIVE) == []

    def test_another_count_is_told(self) -> None:
        [text] = self.told(live(rollout={"status": "complete", "lines": 5}))
        assert text == (
            "coding/t rollout: the output pulled had 2 lines; now there are 5. "
            "`reconciler pull` gets them"
        )

    @pytest.mark.parametrize(
        ("status", "words"), [("running", "its job is now running"), ("failed", "failed since")]
    )
    def test_a_job_that_began_anew_is_told(self, status: str, words: str) -> None:
        [text] = self.told(live(rollout={"status": status, "lines": 2}))
        assert words in text

    @pytest.mark.parametrize("seen", [{"coding": UNREADABLE}, live(stim=UNREADABLE), {}])
    def test_what_nobody_knows_is_not_told(self, seen: Any) -> None:
        assert self.told(seen) == []

    def test_without_a_lockfile_there_is_nothing_to_tell(self) -> None:
        desired = declare(target(), prompt())
        assert list(outdated(desired, look(LIVE, desired), None)) == []


def compared(desired: Desired, seen: Any, lock: Lock | None) -> tuple[Output, ...]:
    observed = look(seen, desired, lock)
    plan = compute_plan(desired, observed, lock, api_url=API_URL)
    return comparable(desired, observed, lock, plan)


def stages(seen: Any, *manifests: Any, lock: Lock | None = None) -> list[str]:
    found = compared(declare(*(manifests or [target()])), seen, lock or pulled())
    return [str(output.stage) for output in found]


class TestComparable:
    """Compared is what was pulled and, as far as anybody knows, is live as it was."""

    def test_it_is_every_output_that_stands_as_it_was_pulled(self) -> None:
        assert compared(declare(target()), LIVE, pulled()) == (
            Output(target_id(), Stage.ROLLOUT, "t", 2, DIGEST),
            Output(target_id(), Stage.STIM, "t", 2, DIGEST),
        )

    def test_a_revision_is_asked_for_by_its_live_name(self) -> None:
        revised = target(policy={"on_change": "revise"}, max_tokens=9)
        name = f"t-{declare(revised).targets[target_id()].digest.removeprefix('sha256:')[:8]}"
        done = {"config": {**SPEC, "max_tokens": 9}, "stim": DONE, "rollout": DONE}
        seen = {"coding": live_repo(targets={"t": {"config": SPEC}, name: done})}
        lock = pulled(revised, of=seen)
        assert {it.live_name for it in compared(declare(revised), seen, lock)} == {name}
        assert stages(seen, revised) == []  # what was pulled is of the target before

    @pytest.mark.parametrize("lock", [None, recorded(declare(target()), LIVE)])
    def test_what_was_never_pulled_is_not(self, lock: Lock | None) -> None:
        assert compared(declare(target()), LIVE, lock) == ()

    def test_one_stage_is_pulled_without_the_other(self) -> None:
        assert stages(LIVE, lock=pulled(stages=[Stage.ROLLOUT])) == ["rollout"]

    @pytest.mark.parametrize(
        "rollout",
        [
            {"status": "complete", "lines": 5},
            {"status": "complete"},
            {"status": "running", "lines": 2},
            {"status": "failed", "lines": 2},
        ],
    )
    def test_where_a_count_or_a_status_says_enough_nothing_is_asked(self, rollout: Any) -> None:
        assert stages(live(rollout=rollout)) == ["stim"]

    @pytest.mark.parametrize("seen", [{"coding": UNREADABLE}, live(rollout=UNREADABLE), {}])
    def test_where_live_state_is_not_known_nothing_is_asked(self, seen: Any) -> None:
        assert stages(seen) == []

    @pytest.mark.parametrize("on_change", ["fail", "revise", "replace"])
    def test_what_is_not_as_declared_is_left_alone(self, on_change: str) -> None:
        assert stages(LIVE, target(policy={"on_change": on_change}, max_tokens=9)) == []

    def test_a_shortfall_does_not_keep_from_it(self) -> None:
        short = target(desired={"rollout": {"min_lines": 2}})
        seen = live(rollout={"status": "complete", "lines": 1})
        assert stages(seen, short, lock=pulled(short, of=seen)) == ["rollout", "stim"]

    def test_a_stage_that_is_not_wanted_any_more_is_left_alone(self) -> None:
        assert stages(LIVE, target(desired={"rollout": "none"})) == ["stim"]

    def test_an_output_without_records_has_none_to_compare(self) -> None:
        seen = live(rollout={"status": "complete", "lines": 0})
        wanted = target(desired={"rollout": {"min_lines": 0}})
        assert stages(seen, wanted, lock=pulled(wanted, of=seen)) == ["stim"]

    def test_only_what_was_selected_is_compared(self) -> None:
        manifests = (target("base"), target("t", template="base"), target("u"))
        seen = live("base", "t", "u")
        desired = narrow(declare(*manifests), Scope(targets=("coding/t",)))
        found = compared(desired, seen, pulled(*manifests, of=seen))
        assert {output.resource for output in found} == {target_id("t")}


def output(stage: Stage = Stage.ROLLOUT, name: str = "t") -> Output:
    return Output(target_id(name), stage, name, 1_200, DIGEST)


class TestDiffering:
    """Each difference is told with what to do; what could not be compared shares a line."""

    def test_data_that_changed_is_told(self) -> None:
        [text] = differing([Compared(output(), Finding.CHANGED)])
        assert text == (
            "coding/t rollout: the data changed since it was pulled: record 1,200 of 1,200 is "
            "another one. `reconciler pull` gets it; `reconciler pull --check` compares every "
            "record"
        )

    def test_what_may_be_the_file_is_told_as_such(self) -> None:
        [text] = differing([Compared(output(Stage.STIM), Finding.EITHER)])
        assert text == (
            "coding/t stim: record 1,200 of 1,200 is not the one in the file that was pulled: "
            "the data changed since, or the file did. `reconciler pull --check` tells"
        )

    def test_a_single_failure_is_told(self) -> None:
        assert list(differing([Compared(output(), Finding.UNKNOWN, "503")])) == [
            "coding/t rollout: could not be compared with what was pulled: 503"
        ]

    def test_failures_share_a_line_after_all_else(self) -> None:
        found = [Compared(output(name=name), Finding.UNKNOWN, f"why {name}") for name in "abc"]
        changed = Compared(output(), Finding.CHANGED)
        told = list(differing([*found, changed]))
        assert told[0].startswith("coding/t rollout: the data changed")
        assert told[1:] == [
            "3 outputs could not be compared with what was pulled. coding/a rollout: why a"
        ]

    def test_nothing_found_is_nothing_told(self) -> None:
        assert list(differing([])) == []
