"""A crash at every single boundary of the reference, once each: what follows makes it good."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from builders import planned

from reconciler.core.selection.scope import EVERYTHING
from reconciler.workflow import saved

from .crash_points import ERRANDS, EXPECTED, STEPS, Play, crashed, deaths, reference
from .disk import Disk, intercept
from .figures import FIGURES
from .machine import scratch
from .process import CURRENT, CrashError, Death, Loss, Process

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.core.model.plan import Plan


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("number", range(len(ERRANDS)))
def test_a_crash_at_any_boundary_is_made_good(number: int, loss: Loss) -> None:
    with reference() as (acts, root):
        act = acts[number]
        for boundary, death in deaths(act, loss):
            outcome, broken = crashed(root / str(death.nth), number, act, death)
            assert not broken, f"after a crash at boundary {death.nth}, {boundary}: {broken}"
            assert outcome == act.outcome, f"after a crash at boundary {death.nth}, {boundary}"
            FIGURES.count("crash points covered")


def test_the_reference_passes_every_kind_of_boundary() -> None:
    with reference() as (acts, _):
        counts = Counter(boundary for act in acts for boundary in act.passed)
        risky = sum(sum(act.at_risk) for act in acts)
    assert {boundary for boundary in EXPECTED if not counts[boundary]} == set()
    assert counts.keys() <= EXPECTED
    for boundary in EXPECTED:
        FIGURES.name("known boundaries", boundary)
    FIGURES.count("crash points known", sum(counts.values()) + 2 * risky)


def test_a_crash_does_not_let_the_state_of_a_machine_into_git() -> None:
    with scratch() as root, pytest.MonkeyPatch.context() as patch:
        play = Play(root / "project", patch)
        try:
            assert play.go(0, Death(1, ".gitignore: before writing")).ended == "CrashError"
            assert play.go(0).ended == "ended"
        finally:
            play.site.loop.close()
        assert (root / "project" / ".reconciler" / ".gitignore").read_text() == "*\n"


def test_a_saved_plan_is_whole_or_not_there(tmp_path: Path) -> None:
    """At every boundary of writing it, with every loss."""
    file = tmp_path / "plan.json"
    plan = planned(ERRANDS[0].desired, {})
    saved.write(file, saved.text(plan, scope=EVERYTHING, prune=False))
    whole, old = file.read_text(), "an older plan"
    for loss in Loss:
        nth, ended = 0, False
        while not ended:
            nth += 1
            file.write_text(old)
            process = Process(Disk(file), Death(nth, "", loss))
            ended = saves(plan, file, process)
            assert file.read_text() in {old, whole}, process.passed
    steps = [step for step in STEPS if step.startswith(("reconciler.lock", "directory"))]
    assert nth > len([step for step in steps if "removed" not in step])


def saves(plan: Plan, file: Path, process: Process) -> bool:
    """Save a plan in a process that may crash; return whether it did not."""
    with pytest.MonkeyPatch.context() as patch:
        intercept(patch)
        CURRENT.set(process)
        try:
            saved.write(file, saved.text(plan, scope=EVERYTHING, prune=False))
        except CrashError:
            return False
        finally:
            CURRENT.set(None)
    return True
