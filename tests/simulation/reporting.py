"""What simulation and fuzzing did: told at the end of a test run, and in a file if asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .figures import Figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

#: Under this name tests hand over what they have counted.
PROPERTY = "figures"
#: Names the file for the figures as JSON.
FILE = "SIMULATION_FIGURES"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the figures of all tests that have handed over some, whatever process they ran in."""
    figures = Figures()
    for data in _handed_over(terminalreporter):
        figures.add(data)
    if not figures.counts:
        return
    terminalreporter.section("figures")
    for what, told in figures.told().items():
        if not told.startswith("0"):
            terminalreporter.write_line(f"{what}: {told}")
    if FILE in os.environ:
        Path(os.environ[FILE]).write_text(json.dumps(figures.told(), indent=1))


def _handed_over(terminalreporter: pytest.TerminalReporter) -> Iterator[dict[str, Any]]:
    """Give what tests have handed over, once each."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "teardown":
                found = [data for name, data in report.user_properties if name == PROPERTY]
                report.user_properties = []
                yield from found
