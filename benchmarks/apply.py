"""How close ``apply`` comes to the critical path: the longest stim and rollout of one target.

No client can be faster than that, and the durations are random and known to the stub of the API
alone. The wall time holds everything from reading the manifests to the lockfile; only the start of
the process is left out. Baselines of the same run poll the same jobs at fixed intervals. Jobs of
ten minutes run in virtual time, with the same engine and client.

    python -m benchmarks.apply [--scale 1.0]
"""

from __future__ import annotations

import asyncio
import math
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import sockets, virtual, world
from benchmarks.common import Figure, run
from benchmarks.stub_service import PROGRESS, Settings
from reconciler.engine.pacing import HOSTED

if TYPE_CHECKING:
    from collections.abc import Iterator

STIM, ROLLOUT = 2.0, 3.0
FEW, MANY, ROUNDS = 20, 1000, 3
FIXED, OFFICIAL = 0.5, 30.0
_LONG, _SEEDS = 600.0, 40


def measure(scale: float = 1.0) -> list[Figure]:
    """Return the figures; ``scale`` is a share of the targets and of the length of their jobs."""
    few, many = max(1, round(FEW * scale)), max(1, round(MANY * scale))
    seconds = {"stim": STIM * scale, "rollout": ROLLOUT * scale}
    rounds = max(1, round(ROUNDS * scale))
    _apply(1, dict.fromkeys(seconds, 0.01), "linear")  # imports what is imported when needed
    return [
        *_of_few(few, seconds, rounds),
        *_of_other_progress(few, seconds),
        *_of_many(many, seconds),
        *_of_baselines(few, seconds),
        *_of_long_jobs(max(1, round(_SEEDS * scale))),
    ]


@dataclass(frozen=True, slots=True)
class _Applied:
    """How one ``apply`` went."""

    ratio: float
    #: Status requests for each job, on average; and for the one that had most of them.
    looks: float
    most: int


def _of_few(count: int, seconds: dict[str, float], rounds: int) -> Iterator[Figure]:
    found = [_apply(count, seconds, "linear", seed) for seed in range(1, rounds + 1)]
    ratios = [one.ratio for one in found]
    note = f"median of {rounds}, at worst {max(ratios):.3f}"
    yield Figure(f"{count} targets / critical path", statistics.median(ratios), "x", 1.02, note)
    looks, most = statistics.mean(one.looks for one in found), max(one.most for one in found)
    yield Figure("status requests for a job", looks, "", 8, f"on average; {most} at most")


def _of_other_progress(count: int, seconds: dict[str, float]) -> Iterator[Figure]:
    for progress in PROGRESS:
        if progress != "linear":
            found = _apply(count, seconds, progress)
            note = f"{found.looks:.1f} status requests for a job, {found.most} at most"
            yield Figure(f"{count} targets, progress: {progress}", found.ratio, "x", 1.10, note)


def _of_many(count: int, seconds: dict[str, float]) -> Iterator[Figure]:
    found = _apply(count, seconds, "linear")
    note = f"{found.looks:.1f} status requests for a job, {found.most} at most"
    yield Figure(f"{count:,} targets, all at once", found.ratio, "x", 1.15, note)


def _apply(count: int, seconds: dict[str, float], progress: str, seed: int = 1) -> _Applied:
    with (
        world.stub(**seconds, seed=seed, progress=progress) as stub,
        tempfile.TemporaryDirectory() as directory,
    ):
        project = Path(directory) / "project"
        world.write_project(project, count)
        wall = world.apply(project, stub.url, parallelism=count)
        report = stub.report()
    looks = report["requests"]["status"] / (2 * count)
    return _Applied(wall / report["critical_path"], looks, report["most_looks"])


# Baselines.


def _of_baselines(count: int, seconds: dict[str, float]) -> Iterator[Figure]:
    with world.stub(**seconds) as stub:
        stub.create(count)
        begun = time.perf_counter()
        asyncio.run(_poll_all(stub.url, count))
        wall, report = time.perf_counter() - begun, stub.report()
    looks = report["requests"]["status"] / (2 * count)
    critical = report["critical_path"]
    yield Figure(
        f"baseline: sockets, all at once, polling every {FIXED:g} s",
        wall / critical,
        "x",
        note=f"{looks:.1f} status requests for a job",
    )
    waits = [_official(job["ended"] - job["started"]) for job in report["jobs"]]
    yield Figure(
        f"baseline: the official client, one by one, every {OFFICIAL:g} s",
        sum(waits) / critical,
        "x",
        note="computed from the same jobs",
    )


def _official(seconds: float) -> float:
    """Return how long the official client waits for a job: it looks at fixed intervals."""
    return OFFICIAL * math.ceil(seconds / OFFICIAL)


async def _poll_all(url: str, count: int) -> None:
    await asyncio.gather(*(_poll(url, world.target_name(number)) for number in range(count)))


async def _poll(url: str, target: str) -> None:
    wire = await sockets.connect(url)
    for stage in ("stim", "rollout"):
        path = f"/v1/repo/{world.REPO}/targets/{target}/{stage}"
        status: dict[str, Any] = await wire.ask(sockets.request("POST", path))
        while status["status"] != "complete":
            await asyncio.sleep(FIXED)
            status = await wire.ask(sockets.request("GET", path))
    wire.close()


# Virtual time.


def _of_long_jobs(seeds: int) -> Iterator[Figure]:
    desired = virtual.project(1)
    for progress in PROGRESS:
        jobs = ({"stim": _LONG, "rollout": _LONG}, 0.25)
        found = [
            virtual.apply(desired, Settings(*jobs, seed, progress), HOSTED)
            for seed in range(1, seeds + 1)
        ]
        yield from _long(progress, [one.ratio for one in found], [one.looks for one in found])


def _long(progress: str, ratios: list[float], looks: list[int]) -> Iterator[Figure]:
    name, usual = "10-minute jobs / critical path", progress == "linear"
    reach, which = (1.005, "") if usual else (1.05, f", progress: {progress}")
    note = f"virtual time; median of {len(ratios)}, at worst {max(ratios):.4f}"
    yield Figure(name + which, statistics.median(ratios), "x", reach, note)
    note = f"the most for any job; the median is {statistics.median(looks):.0f}"
    yield Figure(f"status requests for a 10-minute job{which}", max(looks), "", 40, note)


if __name__ == "__main__":
    run(measure, __doc__)
