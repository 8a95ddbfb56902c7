"""How long ``validate`` takes for ten thousand manifests, against the obvious way to check them.

Writes manifests of 40 lines each, no two alike, into a temporary directory. The baseline is a short
script that loads each with PyYAML's C loader and checks it with python-jsonschema against the whole
schema; it knows no positions, no references and no limits, and says no more than whether a document
is valid. Both run as whole processes, taking turns; a ratio is the median of the rounds' ratios.

    python -m benchmarks.validate [--scale 1.0]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import Figure, run
from reconciler import schema_files

MANIFESTS = 10_000
ROUNDS = 3
REACH = 0.12
_BASELINE = """
import json, sys
from pathlib import Path
import jsonschema, yaml
folder, schema = Path(sys.argv[1]), json.loads(sys.argv[2])
validator = jsonschema.Draft202012Validator(schema)
for file in sorted(folder.rglob("*.yaml")):
    with file.open("rb") as stream:
        for document in yaml.load_all(stream, Loader=yaml.CSafeLoader):
            if not validator.is_valid(document):
                sys.exit(f"{file} is not valid")
"""
_READING = """
import sys
from pathlib import Path
for file in sorted(Path(sys.argv[1]).rglob("*.yaml")):
    file.read_bytes()
"""
_REPO = """\
apiVersion: reconciler/v1
kind: Repo
metadata: {name: bench}
---
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: bench, name: teacher}
spec: {messages: [{role: system, content: Be brief.}]}
"""
_TARGET = """\
apiVersion: reconciler/v1
kind: Target
metadata:
  repo: bench
  name: target-{number}
  labels:
    team: team-{group}
    owner: somebody-{number}
spec:
  teacher_prompt: teacher
  student_prompt: teacher
  model_name: Qwen/Qwen3-{group}B
  num_traj_per_stimulus: {few}
  temperature: 0.{group}
  max_tokens: {many}
  generators:
    - type: hardcoded
      questions:
        - What does error {number} mean?
        - "How do I reset password number {number}?"
        - Can I export the data of account {number}?
        - 'Where do I see invoice {number}?'
    - type: oneshot_qs
      model: claude-sonnet-4-5-20250929
      numq: {many}
      temperature: 1.0
      seed: {number}
desired:
  stim:
    state: complete
    min_lines: {few}
    timeout: {group}m
  rollout:
    state: complete
    min_lines: {many}
    timeout: 2h
policy:
  on_change: fail
  retries: 2
  prevent_destroy: true
"""


@dataclass(frozen=True, slots=True)
class _Run:
    """What one process took: seconds on the clock and of processor time, and its most memory."""

    wall: float
    processor: float
    megabytes: float


def measure(scale: float = 1.0) -> list[Figure]:
    """Return the figures; ``scale`` is a share of the manifests."""
    count = max(1, round(MANIFESTS * scale))
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        _write_manifests(folder, count)
        commands = _commands(folder)
        for command in commands:  # files and bytecode are cached from here on
            _run(command)
        rounds = [[_run(command) for command in commands] for _ in range(ROUNDS)]
    return _figures(f"validate, {count:,} manifests", rounds)


def _figures(name: str, rounds: list[list[_Run]]) -> list[Figure]:
    ours, baseline, reading = zip(*rounds, strict=True)
    pairs = list(zip(ours, baseline, strict=True))
    wall = statistics.median(one.wall / other.wall for one, other in pairs)
    processor = statistics.median(one.processor / other.processor for one, other in pairs)
    return [
        Figure(f"{name} / baseline", wall, "x", REACH, "whole processes, on the clock"),
        Figure(f"{name} / baseline", processor, "x", REACH, "the same, in processor time"),
        Figure(name, _median_wall(ours), "s"),
        Figure(f"{name}, baseline", _median_wall(baseline), "s"),
        Figure(f"{name}, reading the files alone", _median_wall(reading), "s"),
        Figure(f"{name}, memory", max(it.megabytes for it in ours), "MB"),
    ]


def _median_wall(runs: tuple[_Run, ...]) -> float:
    return statistics.median(it.wall for it in runs)


def _commands(folder: Path) -> tuple[list[str], ...]:
    """Return the command lines of ours, of the baseline, and of reading the files alone."""
    schema = schema_files.text("manifest")
    return (
        [sys.executable, "-m", "reconciler", "validate", str(folder)],
        [sys.executable, "-c", _BASELINE, str(folder), schema],
        [sys.executable, "-c", _READING, str(folder)],
    )


def _run(command: list[str]) -> _Run:
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[:3])
    bytes_a_unit = 1 if sys.platform == "darwin" else 1024
    megabytes = usage.ru_maxrss * bytes_a_unit / 1e6
    return _Run(wall, usage.ru_utime + usage.ru_stime, megabytes)


def _write_manifests(folder: Path, count: int) -> None:
    """Write targets into folders of a hundred, and what they name."""
    (folder / "repo.yaml").write_text(_REPO)
    for number in range(count):
        below = folder / f"group-{number // 100}"
        below.mkdir(exist_ok=True)
        (below / f"target-{number}.yaml").write_text(_target(number))


def _target(number: int) -> str:
    group, few, many = 1 + number % 90, 1 + number % 4, 5 + number % 1000
    return _TARGET.format(number=number, group=group, few=few, many=many)


if __name__ == "__main__":
    run(measure, __doc__)
