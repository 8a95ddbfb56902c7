"""What it costs to look at thousands of targets that need nothing: the refresh of a no-op ``plan``.

Each target takes three GETs. The baselines send the same requests over as many connections, on
raw asyncio sockets and by a bare protocol, and parse the answers as JSON; all take turns in one
process. With a latency at the server, the ideal is what nobody can beat: requests times latency
over connections. Memory is that of the whole command, manifests and all.

    python -m benchmarks.refresh [--scale 1.0]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmarks import sockets, world
from benchmarks.common import Figure, Process, run, whole_process
from reconciler import manifests
from reconciler.client import HttpSettings
from reconciler.core.planning import compute_plan
from reconciler.core.planning.record import record
from reconciler.engine.observer import observe
from reconciler.lockfile import Store
from reconciler.workflow.connection import Connection
from reconciler.workflow.place import LOCKFILE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.observed import Observed

#: Opens a connection of a baseline.
Connect: TypeAlias = "Callable[[str], Awaitable[sockets.RawWire | sockets.Wire]]"
FEW, MANY = 1_000, 10_000
LATENCY = 0.02
#: Requests under way at once, on both sides; what the client allows itself if nothing else is said.
CONCURRENCY = 32
#: Requests that a refresh may take more or less than the baseline, whatever its size.
_MORE_OR_LESS = 4


def measure(scale: float = 1.0) -> list[Figure]:
    """Return the figures; ``scale`` is a share of the targets."""
    few, many = max(2, round(FEW * scale)), max(3, round(MANY * scale))
    with _project(few) as project:
        small = _take_turns(project, rounds=7)
    with _project(many) as project:
        large = _take_turns(project, rounds=3)
        command = _whole_command(project)
    # Medians: a short run finds quiet moments in which a long one does not fit.
    growth = _middle(large) / _middle(small)
    return [
        *_ratios(few, small),
        *_ratios(many, large),
        Figure(f"{many:,} targets / {few:,} targets", growth, "x", 1.1 * many / few, "medians"),
        Figure(f"memory of `plan`, {many:,} targets", command.megabytes, "MB", 100),
        Figure(f"`plan` as a whole process, {many:,} targets", command.seconds, "s"),
        _with_latency(few),
    ]


@dataclass(frozen=True, slots=True)
class _Project:
    """Manifests, and a stub that holds what they declare."""

    folder: Path
    stub: world.Stub
    desired: Desired

    @property
    def lockfile(self) -> Path:
        """Where the lockfile is."""
        return self.folder / LOCKFILE

    @property
    def requests(self) -> int:
        """How many requests a refresh takes: three a target, its repo's, and its prompt's."""
        return 3 * len(self.desired.targets) + 4


@dataclass(frozen=True, slots=True)
class _Cost:
    """Seconds on the clock, and of the processor."""

    wall: float
    processor: float


@dataclass(frozen=True, slots=True)
class _Round:
    """What a refresh cost by raw sockets, by a bare protocol, and by the reconciler."""

    raw: _Cost
    protocol: _Cost
    ours: _Cost


@contextmanager
def _project(count: int, **options: object) -> Iterator[_Project]:
    with tempfile.TemporaryDirectory() as directory, world.stub(**options) as stub:
        folder = Path(directory) / "project"
        world.write_project(folder, count)
        stub.create(count)
        stub.complete()
        project = _Project(folder, stub, manifests.load(folder).desired)
        _require_a_fair_comparison(project)
        yield project


def _require_a_fair_comparison(project: _Project) -> None:
    """Refresh once, write the lockfile, and see that nothing is left to do; warms everything up."""
    observed = asyncio.run(_observe(project, None))
    lock = record(project.desired, observed, None, api_url=project.stub.url)
    Store(project.lockfile).write(lock)
    plan = compute_plan(project.desired, observed, lock, api_url=project.stub.url)
    asked = sum(project.stub.report()["requests"].values())
    if plan.changes or plan.unknown or abs(asked - project.requests) > _MORE_OR_LESS:
        raise RuntimeError(f"no no-op in {project.requests} requests: {asked}, {plan.changes[:3]}")


def _take_turns(project: _Project, *, rounds: int) -> list[_Round]:
    lock = Store(project.lockfile).read()
    return [
        _Round(
            _by(sockets.connect_raw, project),
            _by(sockets.connect, project),
            _by_reconciler(project, lock),
        )
        for _ in range(rounds)
    ]


def _ratios(count: int, rounds: list[_Round]) -> Iterator[Figure]:
    ours = _best(one.ours for one in rounds)
    note = f"best of {len(rounds)} each; {ours / (3 * count) * 1e6:.0f} µs a request; "
    for name, costs in (
        ("raw sockets", [one.raw for one in rounds]),
        ("a bare protocol", [one.protocol for one in rounds]),
    ):
        pairs = zip(rounds, costs, strict=True)
        processor = statistics.median(one.ours.processor / it.processor for one, it in pairs)
        told = f"{note}processor time {processor:.1f} x"
        yield Figure(f"refresh of {count:,} targets / {name}", ours / _best(costs), "x", 2.5, told)


def _middle(rounds: list[_Round]) -> float:
    return statistics.median(one.ours.wall for one in rounds)


def _best(costs: Iterable[_Cost]) -> float:
    return min(cost.wall for cost in costs)


def _with_latency(count: int) -> Figure:
    with _project(count, latency=LATENCY) as project:
        lock = Store(project.lockfile).read()
        seconds = statistics.median(_by_reconciler(project, lock).wall for _ in range(3))
        ideal = project.requests * LATENCY / CONCURRENCY
    name = f"refresh of {count:,} targets, {1000 * LATENCY:g} ms latency / ideal"
    return Figure(name, seconds / ideal, "x", 1.2, f"the ideal is {ideal:.2f} s")


def _by_reconciler(project: _Project, lock: Lock | None) -> _Cost:
    return _cost(_observe(project, lock))


def _by(connect: Connect, project: _Project) -> _Cost:
    return _cost(_ask_all(connect, project.stub.url, _requests(project)))


def _cost(work: Coroutine[Any, Any, object]) -> _Cost:
    wall, processor = time.perf_counter(), time.process_time()
    asyncio.run(_forgotten(work))
    return _Cost(time.perf_counter() - wall, time.process_time() - processor)


async def _forgotten(work: Coroutine[Any, Any, object]) -> None:
    """Do the work for its cost alone: asyncio.run would make a text of what it returns."""
    await work


async def _observe(project: _Project, lock: Lock | None) -> Observed:
    settings = HttpSettings(project.stub.url, world.KEY, concurrency=CONCURRENCY)
    connection = Connection(project.stub.url, settings)
    async with connection.open() as api:
        return await observe(project.desired, lock, api, parallelism=CONCURRENCY)


def _requests(project: _Project) -> list[bytes]:
    repo = f"/v1/repo/{world.REPO}"
    paths = [repo, f"{repo}/prompts", f"{repo}/targets", f"{repo}/prompts/teacher"]
    for id_ in project.desired.targets:
        target = f"{repo}/targets/{id_.name}"
        paths += [target, f"{target}/stim", f"{target}/rollout"]
    return [sockets.request("GET", path) for path in paths]


async def _ask_all(connect: Connect, url: str, requests: list[bytes]) -> None:
    left = iter(requests)

    async def worker() -> None:
        wire = await connect(url)
        for request in left:
            await wire.ask(request)
        wire.close()

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))


def _whole_command(project: _Project) -> Process:
    url = f"--api-url={project.stub.url}"
    command = [sys.executable, "-m", "reconciler", "plan", str(project.folder), url]
    return whole_process(command, {"BREAD_API_KEY": world.KEY})


if __name__ == "__main__":
    run(measure, __doc__)
