"""Settings that all tests share."""

from __future__ import annotations

import os

from hypothesis import Phase, settings
from processes import SAME_CODE
from simulation.reporting import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

# Whatever processes tests start, they run the code that is tested here.
os.environ.update(SAME_CODE)

# The same examples every time, so that a red run is red again; `--hypothesis-profile=thorough`
# goes looking for others.
settings.register_profile(
    "quick",
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("quick")
