"""Where every target stands."""

from __future__ import annotations

from typing import Any

from builders import SPEC, UNREADABLE, declare, live_repo, look, planned, prompt, target, target_id

from reconciler.core.model.desired import Stage
from reconciler.core.planning.report import StageRow, StatusRow, report


def rows(*manifests: Any, live: Any) -> tuple[StatusRow, ...]:
    desired, state = declare(*manifests), {"coding": live}
    return report(desired, look(state, desired), planned(desired, state))


def row(live: Any, **more: Any) -> StatusRow:
    """Return the row of the target ``t``, which wants 2 questions and 10 trajectories."""
    wanted = {"stim": {"min_lines": 2}, "rollout": {"min_lines": 10}}
    declared = target(num_traj_per_stimulus=5, **{"desired": wanted, **more})
    [found] = rows(declared, live=live)
    return found


def stages(**seen: Any) -> Any:
    return live_repo(targets={"t": {"config": {**SPEC, "num_traj_per_stimulus": 5}, **seen}})


DONE = {"status": "complete", "lines": 2}


def test_a_converged_target_is_settled() -> None:
    found = row(stages(stim=DONE, rollout={"status": "complete", "lines": 10}))
    assert found == StatusRow(
        target_id(),
        "t",
        {
            Stage.STIM: StageRow("complete", 2, 2, 2, settled=True),
            Stage.ROLLOUT: StageRow("complete", 10, 10, 10, settled=True),
        },
    )


def test_a_missing_target_shows_what_is_wanted() -> None:
    found = row(live_repo())
    assert found.stages[Stage.STIM] == StageRow("missing", 0, 2, 2)
    assert found.stages[Stage.ROLLOUT] == StageRow("missing", 0, 10, 10)


def test_an_unreadable_target_shows_nothing_but_wishes() -> None:
    found = row(live_repo(targets={"t": UNREADABLE}))
    assert found.stages[Stage.STIM] == StageRow("unknown", wanted=2)


def test_what_is_not_wanted_says_so() -> None:
    found = row(stages(stim=DONE), desired={"rollout": "none"})
    assert found.stages[Stage.ROLLOUT] == StageRow("not wanted", settled=True)


def test_a_running_stim_shows_how_far_it_is() -> None:
    found = row(stages(stim={"status": "running", "lines": 1}))
    assert found.stages[Stage.STIM] == StageRow("running", 1, 2, 2)
    assert found.stages[Stage.ROLLOUT] == StageRow("not_started", 0, 10, 10)


def test_a_failed_stim_tells_why_and_leaves_the_rollout_open() -> None:
    failed = {"status": "failed", "lines": 1, "error": "out of memory"}
    found = row(stages(stim=failed), policy={"retries": 0})
    assert found.blocked
    assert found.stages[Stage.STIM].error == "out of memory"
    assert not found.stages[Stage.STIM].settled
    assert not found.stages[Stage.ROLLOUT].settled


def test_an_unreadable_stim_settles_nothing() -> None:
    found = row(stages(stim=UNREADABLE))
    assert found.stages[Stage.STIM] == StageRow("unknown", None, 2, 2)
    assert not found.stages[Stage.ROLLOUT].settled


def test_nothing_is_settled_while_something_needed_cannot_be_read() -> None:
    live = {**stages(), "prompts": UNREADABLE}
    assert not row(live).stages[Stage.STIM].settled


def test_nothing_is_settled_while_something_needed_is_blocked() -> None:
    [found] = rows(prompt(content="Be brief."), target(), live=stages(stim=DONE))
    assert found.blocked
    assert not found.stages[Stage.STIM].settled


def test_an_accepted_shortfall_is_settled() -> None:
    short = {"status": "complete", "lines": 1}
    found = row(stages(stim=short, rollout=short), policy={"on_shortfall": "accept"})
    assert [found.stages[stage].settled for stage in Stage] == [True, True]


def test_rows_are_sorted_by_name() -> None:
    found = rows(target("b", spec={"template": "z"}), target("z"), target("a"), live=live_repo())
    assert [each.resource.name for each in found] == ["a", "b", "z"]
