"""Simulates and fuzzes, and writes the figures into docs/guarantees.md, leaving the prose alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .reporting import FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
TESTS = ("tests/simulation", "tests/hostile")
DOCUMENT = ROOT / "docs" / "guarantees.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"


def main() -> int:
    """Run all tests that hand over figures; return the exit code of that."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "figures.json"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", *TESTS]
        ran = subprocess.run(command, cwd=ROOT, env={**os.environ, FILE: str(file)}, check=False)
        if ran.returncode == 0:
            told = json.loads(file.read_text())
            DOCUMENT.write_text(rewritten(DOCUMENT.read_text(), told))
    return ran.returncode


def rewritten(document: str, told: Mapping[str, str]) -> str:
    """Return a document with these figures. Raises ValueError where it has no place for them."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the document has no place for figures")
    table = "\n".join(["| what | how much |", "|---|---|", *map(_row, told.items())])
    return f"{before}{begin}{table}\n{end}{after}"


def _row(figure: tuple[str, str]) -> str:
    return f"| {figure[0]} | {figure[1]} |"


if __name__ == "__main__":
    sys.exit(main())
