"""How many requests it takes to create a thousand targets and a thousand prompts.

Counts every request of a whole ``apply`` that creates and runs nothing, looking around included.

    python -m benchmarks.creation [--scale 1.0]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import world
from benchmarks.common import Figure, run

COUNT = 1_000


def measure(scale: float = 1.0) -> list[Figure]:
    """Return the figures; ``scale`` is a share of the targets and prompts."""
    count = max(1, round(COUNT * scale))
    with tempfile.TemporaryDirectory() as directory, world.stub() as stub:
        project = Path(directory) / "project"
        _write(project, count)
        seconds = world.apply(project, stub.url, parallelism=10)
        requests = stub.report()["requests"]
    note = ", ".join(f"{number} {kind}" for kind, number in sorted(requests.items()))
    name = f"creating {count:,} targets and {count:,} prompts"
    return [
        Figure(name, sum(requests.values()), "requests", 30, note),
        Figure(name, seconds, "s", note="manifests and lockfile included"),
    ]


def _write(project: Path, count: int) -> None:
    """Write a project that wants its targets to exist, and none of their data."""
    world.write_project(project, count, desired={"stim": "none", "rollout": "none"})
    prompts = (world.prompt(f"prompt-{number:05}", f"Be {number}.") for number in range(count))
    world.write_documents(project / "prompts.yaml", prompts)


if __name__ == "__main__":
    run(measure, __doc__)
