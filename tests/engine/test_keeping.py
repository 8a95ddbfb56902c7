"""The lockfile during a run: always current, written seldom, and at once where it must be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fake_api import Job
from virtual_time import virtual

from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedStage, LockedTarget
from reconciler.engine.keeper import Keeper
from reconciler.lockfile import Store

from .support import API_URL, Memory, World, stim_only, target, target_id

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "0" * 64
STIM = Stage.STIM


@dataclass
class Wall:
    """A clock that a test moves by hand."""

    time: float = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    def pass_by(self, seconds: float) -> None:
        self.time += seconds


def entry(lines: int) -> LockedTarget:
    return LockedTarget(DIGEST, "a", stages={STIM: LockedStage("running", lines)})


def keeper(*, write_takes: float = 0.0) -> tuple[Keeper, Memory, Wall]:
    wall = Wall()
    memory = Memory(on_write=lambda: wall.pass_by(write_takes))
    return Keeper(Lock(API_URL), memory, wall), memory, wall


def test_slow_writes_take_a_small_share_of_the_time() -> None:
    kept, memory, wall = keeper(write_takes=0.1)
    for lines in range(1000):
        kept.put_target(target_id("a"), entry(lines))
        wall.pass_by(0.01)
    assert 1 <= len(memory.texts) <= 0.15 * wall.now() / 0.1


def test_what_was_held_back_is_written_in_the_end() -> None:
    kept, memory, _ = keeper(write_takes=0.1)
    for lines in range(50):
        kept.put_target(target_id("a"), entry(lines))
    assert memory.stage("a", STIM).lines < 49
    kept.flush(force=True)
    assert memory.stage("a", STIM).lines == 49


def test_an_attempt_is_never_held_back() -> None:
    kept, memory, _ = keeper(write_takes=0.1)
    for attempts in range(1, 30):
        kept.put_target(target_id("a"), entry(attempts))
        kept.count_attempt(target_id("a"), STIM, attempts)
        assert memory.stage("a", STIM).attempts == attempts


def test_fast_writes_are_not_held_back() -> None:
    kept, memory, wall = keeper()
    for lines in range(5):
        kept.put_target(target_id("a"), entry(lines))
        wall.pass_by(1.0)
        assert memory.stage("a", STIM).lines == lines


def test_what_is_known_already_is_not_written_again() -> None:
    kept, memory, wall = keeper()
    for _ in range(5):
        kept.put_target(target_id("a"), entry(7))
        wall.pass_by(100)
    assert len(memory.texts) == 1


def test_what_is_forgotten_is_gone_from_the_file() -> None:
    kept, memory, _ = keeper()
    kept.put_target(target_id("a"), entry(7))
    kept.forget(target_id("a"))
    assert not memory.lock.targets


@virtual
async def test_a_run_with_slow_writes_writes_little_and_loses_nothing() -> None:
    world = World()
    world.lockfile.on_write = lambda: world.clock.advance(0.5)
    world.api.job = Job(seconds=10, error="no such dataset")
    documents = [stim_only(f"t{n}", policy={"retries": 0}) for n in range(100)]
    await world.apply(*documents, parallelism=100)
    assert len(world.lockfile.texts) < 30
    locked = world.lockfile.lock.targets.values()
    assert [entry.stages[STIM].status for entry in locked] == ["failed"] * 100


@virtual
async def test_what_was_held_back_does_not_wait_for_the_next_look_at_a_long_job() -> None:
    """A run that is killed loses no more than what happened a moment ago."""
    world = World()
    world.lockfile.on_write = lambda: world.clock.advance(1.0)
    world.api.plays("a", Stage.ROLLOUT, Job(seconds=600))
    work = asyncio.create_task(world.apply(target("a")))
    while not world.api.starts["a", Stage.ROLLOUT]:  # noqa: ASYNC110 - in virtual time
        await asyncio.sleep(0.1)
    await asyncio.sleep(25.0)
    on_disk = world.lockfile.lock
    work.cancel()
    await asyncio.wait([work])
    stages = on_disk.targets[target_id("a")].stages
    assert [stages[stage].status for stage in Stage] == ["complete", "running"]


@virtual
async def test_a_run_that_changes_nothing_does_not_touch_the_file(tmp_path: Path) -> None:
    world = World()
    await world.apply(target("a"), target("b"))
    path = tmp_path / "reconciler.lock"
    path.write_text(world.lockfile.texts[-1])
    before = path.stat()
    world.writer = store = Store(path)
    store.read()
    ran = await world.apply(target("a"), target("b"))
    assert ran.plan.converged
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
