"""Cron loops through storms: no rule is ever broken, and what can converge does.

A seed that fails names itself. ``SIMULATION_SEEDS=17-17`` in the environment replays it, and
``SIMULATION_SEEDS=5000-9000`` goes looking for others.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .cron import live

if TYPE_CHECKING:
    from pathlib import Path

RUNS = 14
_FIRST, _LAST = (int(n) for n in os.environ.get("SIMULATION_SEEDS", "0-54").split("-"))


@pytest.mark.parametrize("seed", range(_FIRST, _LAST + 1))
def test_storms_are_lived_through(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(seed, tmp_path, monkeypatch, RUNS)
