"""Events as lines, and the last line of a run."""

from __future__ import annotations

import pytest
from builders import prompt_id, target_id

from reconciler.core.errors import ExitCode
from reconciler.core.model.desired import Stage
from reconciler.core.model.events import Event, EventKind, Outcome, RunResult
from reconciler.render.events import line, summary
from reconciler.render.style import Style

PLAIN = Style(colour=False)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event(EventKind.CREATED, prompt_id()), "created   prompt coding/expert"),
        (
            Event(EventKind.STARTED, target_id(), Stage.STIM, attempt=2),
            "started   coding/t stim  attempt 2",
        ),
        (
            Event(EventKind.PROGRESS, target_id(), Stage.ROLLOUT, lines=1312, expected=5000),
            "progress  coding/t rollout  1,312 / 5,000 lines",
        ),
        (
            Event(EventKind.PROGRESS, target_id(), Stage.STIM, lines=1),
            "progress  coding/t stim  1 line",
        ),
        (
            Event(EventKind.PROGRESS, target_id(), Stage.STIM, progress=42.4),
            "progress  coding/t stim  42 %",
        ),
        (
            Event(EventKind.COMPLETE, target_id(), Stage.STIM, lines=10, expected=10, seconds=185),
            "complete  coding/t stim  10 / 10 lines, in 3m05s",
        ),
        (
            Event(EventKind.FAILED, target_id(), Stage.STIM, message="out\nof \x1b[31mmemory"),
            "failed    coding/t stim  out of memory",
        ),
    ],
)
def test_an_event_is_one_line(event: Event, text: str) -> None:
    assert line(event, PLAIN) == text


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        ([ExitCode.OK] * 1200, "Converged: 1,200 resources are as declared."),
        ([ExitCode.OK, ExitCode.PENDING], "Not converged: 1 still converging, 1 as declared."),
        ([ExitCode.BLOCKED, ExitCode.ERROR], "Not converged: 1 failed, 1 blocked."),
    ],
)
def test_the_last_line_is_the_truth(codes: list[ExitCode], text: str) -> None:
    assert summary(RunResult(tuple(Outcome(target_id(), code) for code in codes)), PLAIN) == text


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        ([], "Interrupted."),
        ([ExitCode.OK, ExitCode.PENDING], "Interrupted: 1 still converging, 1 as declared."),
    ],
)
def test_an_interrupt_is_told_and_how_far_the_run_came(codes: list[ExitCode], text: str) -> None:
    outcomes = tuple(Outcome(target_id(), code) for code in codes)
    told = summary(RunResult(outcomes, interrupted=True), PLAIN)
    assert told == f"{text} What is known is in the lockfile."
