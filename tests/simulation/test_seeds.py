"""A seed is a replay, and a failing one comes as small as it can be made."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from processes import SAME_CODE

from . import storms
from .projects import TARGETS
from .storms import BrokenError, Case, asked_for, require, shrunk, survive

TESTS = Path(__file__).parents[1]
CASES = [Case(seed, rounds=5) for seed in range(11, 17)]


def trace(case: Case) -> str:
    """Return a digest of every call that was made in a life, and when."""
    world = survive(case).world
    return sha256(repr((world.calls, world.journal)).encode()).hexdigest()


def test_a_seed_is_the_same_life_in_every_process() -> None:
    code = "from simulation.test_seeds import *; print(*map(trace, CASES))"
    paths = os.pathsep.join([str(TESTS), SAME_CODE["PYTHONPATH"]])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == [trace(case) for case in CASES]


def test_seeds_differ() -> None:
    assert len({trace(case) for case in CASES}) == len(CASES)


def test_a_failing_case_is_made_smaller_by_all_that_it_does_not_need() -> None:
    def fails(case: Case) -> bool:
        return (case.rounds or 3) >= 2 and not case.without & {"lost", "a"}

    least = shrunk(Case(7), fails)
    assert least.rounds == 2
    assert least.without == {*storms.PARTS, *TARGETS} - {"lost", "a"}


def test_a_command_replays_what_it_was_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(17, rounds=2, without=frozenset({"lost", "wire"}))
    settings = (word for word in case.command().split() if word.startswith("SIMULATION_"))
    for name, value in (setting.split("=") for setting in settings):
        monkeypatch.setenv(name, value)
    assert asked_for("0-9") == [case]


def test_a_failure_ends_in_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: Case) -> storms.Life:
        raise BrokenError("a rule was broken")

    monkeypatch.setattr(storms, "survive", broken)
    with pytest.raises(BrokenError, match=r"a rule was broken(?s:.*)test_storms\.py$") as caught:
        require(Case(3))
    assert "SIMULATION_SEEDS=3-3 SIMULATION_ROUNDS=1 " in str(caught.value)
