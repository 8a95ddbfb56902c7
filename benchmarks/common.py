"""What all benchmarks share: figures, how they are shown, versions and the machine.

A figure is data; whoever measures never prints. A reach says what a figure should not exceed: it is
an aim, and nothing fails when it is missed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import ModuleType

ROOT = Path(__file__).parent.parent
_LIBRARIES = ("PyYAML", "jsonschema", "jsonschema-rs", "click", "orjson")


@dataclass(frozen=True, slots=True)
class Figure:
    """One result. ``reach`` is what the value should not exceed, None where it only informs."""

    name: str
    value: float
    unit: str
    reach: float | None = None
    note: str = ""

    @property
    def within(self) -> bool | None:
        """Whether the reach was kept, None where there is none."""
        return None if self.reach is None else self.value <= self.reach


def benchmarks() -> list[str]:
    """Return the name of every module of this package that measures."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    return [name for name in names if hasattr(_module(name), "measure")]


def measured(name: str, scale: float) -> list[Figure]:
    """Return the figures of a benchmark."""
    return figures(_module(name).measure(scale))


def title(name: str) -> str:
    """Return what a benchmark is about."""
    return (_module(name).__doc__ or name).splitlines()[0]


def figures(rows: Iterable[Figure | Sequence[Any]]) -> list[Figure]:
    """Return what was measured as figures, also where it came as plain name, value, unit, reach."""
    return [row if isinstance(row, Figure) else Figure(*row) for row in rows]


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{name}")


def environment() -> str:
    """Return versions and machine on one line."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"reconciler {__version__}, {platform.python_implementation()} "
        f"{platform.python_version()}, {libraries}; {platform.system()} {platform.machine()}, "
        f"{_processor()}, {os.cpu_count()} cores"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown processor")


def run(measure: Callable[[float], Iterable[Figure | Sequence[Any]]], about: str | None) -> None:
    """Be the command line of one benchmark: measure, and print."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    options = parser.parse_args()
    print(environment())
    show(figures(measure(options.scale)))


def show(found: Iterable[Figure]) -> None:
    """Print figures, one a line."""
    for figure in found:
        print(f"{figure.name:<58} {_value(figure):>12}  {_against(figure):<18} {figure.note}")


def table(found: Iterable[Figure]) -> str:
    """Return figures as a Markdown table."""
    rows = ["| what | measured | reach | |", "|---|---:|---:|---|"]
    for figure in found:
        reach = "" if figure.reach is None else _with_unit(figure.reach, figure.unit)
        missed = "**missed** " if figure.within is False else ""
        cells = (figure.name, _value(figure), reach, (missed + figure.note).strip())
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _value(figure: Figure) -> str:
    return _with_unit(figure.value, figure.unit)


def _against(figure: Figure) -> str:
    if figure.reach is None:
        return ""
    sign = "<=" if figure.within else "MISSED"
    return f"{sign} {_with_unit(figure.reach, figure.unit)}"


def _with_unit(value: float, unit: str) -> str:
    digits = 5 if unit == "x" else 3  # a ratio near 1 is told by what comes after it
    text = f"{value:,.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{text} {unit}".strip()


#: A child's peak memory begins with that of whoever started it, so that somebody small has to.
_STARTER = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
begun = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - begun
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss]))
"""


@dataclass(frozen=True, slots=True)
class Process:
    """What a whole process took: seconds on the clock, and megabytes at its largest."""

    seconds: float
    megabytes: float


def whole_process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
    """Run a command in the root of the project, its stdout discarded; raises unless it exits 0."""
    starter = [sys.executable, "-I", "-S", "-c", _STARTER, *command]
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run(
        starter, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    code, seconds, size = json.loads(done.stdout)
    if code:
        raise subprocess.CalledProcessError(code, command)
    return Process(seconds, size * (1 if sys.platform == "darwin" else 1024) / 1e6)
