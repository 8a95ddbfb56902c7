"""How long commands take that have next to nothing to do, against an interpreter that does nothing.

Every command is a whole process, started as the script is that pip installs; all take turns, after
two rounds that fill the caches of files and of bytecode. The figure is the median of a command over
the median of ``python -c pass``. ``plan`` asks a stub of the API, with a converged target. What the
libraries cost which a command cannot do without stands below it: a process that imports those and
ends.

    python -m benchmarks.startup [--scale 1.0]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import reconciler
from benchmarks import world
from benchmarks.common import run

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Name, value, unit, and what the value should not exceed (None where there is no such bound).
Row: TypeAlias = tuple[str, float, str, float | None]

ROUNDS = 25
_FEWEST_ROUNDS = 15
_SCRIPT = "import sys; from reconciler.cli import main; sys.exit(main())"
_CHECKING = "import click, dataclasses, hashlib, json, pathlib, yaml, jsonschema_rs"
_ASKING = f"{_CHECKING}, asyncio, httptools"
_NOTHING = "python -c pass"
#: What is started, and how many times as long as nothing it should take at most.
_REACHES = {
    "--version": 1.2,
    "validate, one file": 5.0,
    "its libraries alone": None,
    "plan, one target": 10.0,
    "the libraries of plan alone": None,
}


def measure(scale: float = 1.0) -> list[Row]:
    """Return the figures of ``scale`` times 25 rounds, but of 15 at least."""
    rounds = max(_FEWEST_ROUNDS, round(ROUNDS * scale))
    with tempfile.TemporaryDirectory() as directory, world.stub() as stub:
        project = Path(directory) / "project"
        _prepare(project, stub)
        environment = _environment(stub.url, Path(directory) / "bytecode")
        seconds = _seconds(_commands(project), environment, rounds)
    nothing = statistics.median(seconds.pop(_NOTHING))
    rows: list[Row] = [
        (f"{name} / nothing", statistics.median(taken) / nothing, "x", _REACHES[name])
        for name, taken in seconds.items()
    ]
    return [*rows, (f"nothing: {_NOTHING}", nothing * 1000, "ms", None)]


def _prepare(project: Path, stub: world.Stub) -> None:
    """Let one target be declared and live, all of it converged and recorded."""
    world.write_project(project, 1)
    stub.create(1)
    stub.complete()
    world.apply(project, stub.url, parallelism=1)


def _commands(project: Path) -> dict[str, list[str]]:
    ours = [sys.executable, "-c", _SCRIPT]
    file = next(project.glob("targets-*.yaml"))
    return {
        _NOTHING: [sys.executable, "-c", "pass"],
        "--version": [*ours, "--version"],
        "validate, one file": [*ours, "validate", str(file)],
        "its libraries alone": [sys.executable, "-c", _CHECKING],
        "plan, one target": [*ours, "plan", str(project)],
        "the libraries of plan alone": [sys.executable, "-c", _ASKING],
    }


def _environment(url: str, bytecode: Path) -> Mapping[str, str]:
    """Return an environment in which bytecode is kept, as it is where a package is installed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    access = {"BREAD_API_KEY": world.KEY, "BREAD_BASE_URL": url, "NO_PROXY": "*"}
    same_code = {"PYTHONPATH": str(Path(reconciler.__file__).parents[1]), "PYTHONSAFEPATH": "1"}
    return {**kept, **access, **same_code, "PYTHONPYCACHEPREFIX": str(bytecode)}


def _seconds(
    commands: Mapping[str, list[str]], environment: Mapping[str, str], rounds: int
) -> dict[str, list[float]]:
    """Return how long each command took in each round."""
    for command in [*commands.values(), *commands.values()]:
        _run(command, environment)
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            taken[name].append(_run(command, environment))
    return taken


def _run(command: list[str], environment: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    run(measure, __doc__)


if __name__ == "__main__":
    main()
