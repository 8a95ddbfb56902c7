"""Every benchmark runs, at a tiny scale, and its figures have a place in docs/performance.md.

Benchmarks measure the checkout, also where the tests are of the installed wheel.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import SAME_CODE

ROOT = Path(__file__).parent.parent
BENCHMARKS = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if "\ndef measure(" in path.read_text()
)
MEASURE = """
import dataclasses, json, sys
from benchmarks.common import measured
print(json.dumps([dataclasses.asdict(figure) for figure in measured(sys.argv[1], 0.002)]))
"""
FILL = """
from benchmarks.__main__ import PAGE, filled
from benchmarks.common import benchmarks
texts = {name: f"figures of {name}" for name in ["machine", *benchmarks()]}
print(filled(PAGE.read_text(), texts))
"""


def python(script: str, *arguments: str) -> str:
    """Return what a script prints that sees the checkout, as `python -m benchmarks` does."""
    command = [sys.executable, "-c", script, *arguments]
    env = {key: value for key, value in os.environ.items() if key not in SAME_CODE}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_yields_figures(name: str) -> None:
    found = json.loads(python(MEASURE, name).splitlines()[-1])
    assert found
    for figure in found:
        assert figure["name"]
        assert math.isfinite(figure["value"])
        assert figure["value"] >= 0
        assert figure["reach"] is None or figure["reach"] > 0


def test_every_figure_has_a_place_on_the_page() -> None:
    lines = python(FILL).splitlines()
    assert [line for line in lines if line.startswith("figures of ")] != []
    for name in ("machine", *BENCHMARKS):
        place = lines.index(f"figures of {name}")
        assert lines[place - 1] == f"<!-- figures: {name} -->"
        assert lines[place + 1] == "<!-- end of figures -->"
