"""Cron loops through storms: no promise is ever broken, and what can converge does.

A seed that fails is made smaller, and the message ends in the command that replays it.
"""

from __future__ import annotations

import time

import pytest

from .figures import FIGURES
from .storms import Case, asked_for, require

CASES = asked_for("0-1999")
#: Seeds in one test, so that a test is worth its overhead.
LOT = 20


@pytest.mark.parametrize(
    "cases",
    [CASES[start : start + LOT] for start in range(0, len(CASES), LOT)],
    ids=lambda cases: f"{cases[0].seed}-{cases[-1].seed}",
)
def test_storms_are_lived_through(cases: list[Case]) -> None:
    started, runs = time.process_time(), FIGURES.counts["runs"]
    for case in cases:
        require(case)
    FIGURES.count("seeds in storms", len(cases))
    FIGURES.count("runs in storms", FIGURES.counts["runs"] - runs)
    FIGURES.count("seconds", time.process_time() - started)
