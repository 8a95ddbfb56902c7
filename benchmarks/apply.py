"""How close ``apply`` comes to the critical path: N targets with jobs of known length.

Starts the service in a process of its own, applies projects of growing size to it and prints the
wall time over the length of one target's jobs, which no client can beat. Process start is excluded.

    python benchmarks/apply.py [--targets 1,3,20] [--stim 2.0] [--rollout 3.0]
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.workflow import verbs
from reconciler.workflow.access import Access
from reconciler.workflow.loading import load
from reconciler.workflow.place import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model.events import RunResult

PACE = 0.1
CONCURRENCY = 10
KEY = "benchmark"


def main() -> None:
    options = _options()
    print(f"reconciler {__version__}, Python {platform.python_version()}, {os.cpu_count()} cores")
    critical = options.stim + options.rollout
    print(f"jobs: stim {options.stim:g} s, rollout {options.rollout:g} s; offline model")
    print(f"{'targets':>8} {'wall s':>8} {'/ critical path':>16} {'requests / job':>15}")
    for count in options.targets:
        wall, result = _measure(count, options.stim, options.rollout)
        if not result.converged:
            sys.exit(f"{count} targets did not converge: {result.outcomes}")
        per_job = result.requests / (2 * count)
        print(f"{count:>8} {wall:>8.2f} {wall / critical:>16.3f} {per_job:>15.1f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = [1, 3, 20]
    parser.add_argument("--targets", type=_sizes, default=sizes, help="sizes, like 1,3,20")
    parser.add_argument("--stim", type=float, default=2.0, help="seconds of a stim job")
    parser.add_argument("--rollout", type=float, default=3.0, help="seconds of a rollout job")
    return parser.parse_args()


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _measure(count: int, stim: float, rollout: float) -> tuple[float, RunResult]:
    with tempfile.TemporaryDirectory() as directory, _service(Path(directory) / "data") as url:
        project = Path(directory) / "project"
        _write_project(project, count, stim, rollout)
        where = place(project)
        desired = load(where).desired
        access = Access(api_url=url, environment={"BREAD_API_KEY": KEY})
        begun = time.perf_counter()
        result = verbs.apply(
            where,
            desired,
            access,
            verbs.ApplyOptions(verbs.PlanOptions(parallelism=count)),
            confirm=lambda _: True,
            emit=lambda _: None,
        )
        return time.perf_counter() - begun, result


@contextmanager
def _service(data: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "reconciler", "serve", "--port", "0", "--pace", str(PACE)]
    process = subprocess.Popen(
        [*command, "--data", str(data)],
        env={**os.environ, "BREAD_API_KEY": KEY},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    try:
        yield process.stderr.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def _write_project(project: Path, count: int, stim: float, rollout: float) -> None:
    """Write targets whose stim asks one question a tick, and whose rollout answers ten a tick."""
    questions = round(stim / PACE)
    each = round(rollout / PACE * CONCURRENCY / questions)
    head = """apiVersion: reconciler/v1
kind: Repo
metadata: {name: bench}
---
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: bench, name: teacher}
spec: {messages: [{role: system, content: Be brief.}]}
"""
    target = """---
apiVersion: reconciler/v1
kind: Target
metadata: {{repo: bench, name: target-{number}}}
spec:
  teacher_prompt: teacher
  generators: [{{type: hardcoded, questions: [{questions}]}}]
  num_traj_per_stimulus: {each}
  max_concurrency: {concurrency}
"""
    rows = ", ".join(f"q{number}" for number in range(questions))
    targets = (
        target.format(number=number, questions=rows, each=each, concurrency=CONCURRENCY)
        for number in range(count)
    )
    project.mkdir()
    (project / "all.yaml").write_text(head + "".join(targets))


if __name__ == "__main__":
    main()
