"""Machines that run the reconciler: the very functions of the command line, on virtual time.

Only the outermost parts are exchanged: the connection to the API, the clock, the event loop, and
the last step to the disk. The lockfile lies on a real disk, the run lock is really held.
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from virtual_time import VirtualClock, VirtualLoop

from reconciler import lockfile
from reconciler.client import HttpSettings
from reconciler.core.equality import diff
from reconciler.core.errors import InvalidLockfileError, ReconcilerError
from reconciler.core.model.lock import Lock, LockedTarget
from reconciler.engine.pacing import HOSTED
from reconciler.lockfile import text
from reconciler.workflow import connection
from reconciler.workflow.access import Access
from reconciler.workflow.place import place
from reconciler.workflow.verbs import shared
from reconciler.workflow.verbs.apply import ApplyOptions, apply
from reconciler.workflow.verbs.destroy import destroy
from reconciler.workflow.verbs.planning import PlanOptions
from reconciler.workflow.verbs.refresh import refresh

from . import disk as disks
from .client import Client, Errand, Ledger
from .figures import FIGURES
from .process import CURRENT, CrashError, Death, Process
from .wire import KEY, over_the_wire
from .world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from random import Random

    import pytest

    from reconciler.core.model.events import RunResult
    from reconciler.core.model.plan import FieldDiff

API_URL = "http://localhost:9"
ACCESS = Access(api_url=API_URL)
#: What is pure is worked out once, for speed.
_PARSED = lru_cache(maxsize=1000)(text.parse)
_EXPLAIN = diff._explain
_RUN: ContextVar[Run] = ContextVar("run")
_WORKER: ContextVar[_Worker | None] = ContextVar("worker", default=None)


@lru_cache(maxsize=1000)
def _explained(both: str) -> tuple[FieldDiff, ...]:
    return tuple(_EXPLAIN(*json.loads(both)))


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a directory, in memory where that can be: nothing has to outlast a real power cut."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as root:
        yield Path(root)


class Machine:
    """A directory with a lockfile, and what it answers for."""

    def __init__(self, name: str, root: Path) -> None:
        root.mkdir(exist_ok=True)
        self.place = place(root)
        self.disk = disks.Disk(self.place.lockfile)
        self.ledger = Ledger(name)

    @property
    def lock(self) -> Lock | None:
        """What the lockfile holds, as read back after it was written last."""
        return self.ledger.lock

    def read_back(self) -> None:
        """Read the lockfile. Raises InvalidLockfileError."""
        content = self.disk.text()
        self.note(None if content is None else text.parse(content, "reconciler.lock"))

    def note(self, lock: Lock | None) -> None:
        """Note what the lockfile holds; what stands for something else now counts afresh."""
        before = self.lock.targets if self.lock else {}
        for id_, entry in lock.targets.items() if lock else ():
            old = before.get(id_)
            if old is None or not _same(old, entry):
                self.ledger.forget(id_.repo, entry.live_name)
        self.ledger.lock = lock

    def lose_lockfile(self) -> None:
        """Delete the lockfile, and with it the memory of attempts."""
        self.place.lockfile.unlink(missing_ok=True)
        self.disk.note_written()
        self.ledger.lock = None
        self.ledger.forget()


def _same(old: LockedTarget, new: LockedTarget) -> bool:
    """Return whether an entry still remembers what another one did: a stage not wanted does not."""
    same = (old.digest, old.live_name) == (new.digest, new.live_name)
    return same and old.stages.keys() <= new.stages.keys()


@dataclass(slots=True)
class Run:
    """One run of a verb on a machine: what it is told, what befalls it, how it ended."""

    machine: Machine
    errand: Errand
    verb: str = "apply"
    wait: bool = True
    timeout: float | None = None
    parallelism: int = 10
    delay: float = 0.0
    #: How long a person looks at the plan before agreeing to it.
    thinks: float = 0.0
    death: Death | None = None
    interrupt: float | None = None
    wired: bool = False
    process: Process = field(init=False)
    client: Client | None = None
    result: RunResult | bool | None = None
    ended: str = ""

    def __post_init__(self) -> None:
        self.process = Process(self.machine.disk, self.death)


class _Store(lockfile.Store):
    """The lockfile on disk, whose every write is a promise."""

    def write(self, lock: Lock) -> bool:
        changed = super().write(lock)
        machine = _RUN.get().machine
        if changed:
            machine.disk.note_written()
            parts = (dict(lock.repos), dict(lock.prompts), dict(lock.targets))
            machine.note(Lock(lock.api_url, *parts))
        return changed


@dataclass(frozen=True, slots=True)
class _Connection:
    run: Run
    world: World
    name: str = API_URL
    pace = HOSTED
    settings = HttpSettings(API_URL, KEY)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Client]:
        run = self.run
        if run.client is None:
            process, ledger = run.process, run.machine.ledger
            run.client = Client(self.world, self.world, process, run.errand, ledger)
            if run.timeout is not None:
                run.client.deadline = self.world.clock.now() + run.timeout + run.thinks
        if run.wired:
            async with over_the_wire(self.world, API_URL) as api:
                run.client.speak_through(api)
                yield run.client
        else:
            yield run.client


class Site:
    """A world, and the runs on machines that shall bring it where manifests want it."""

    def __init__(self, draw: Random, patch: pytest.MonkeyPatch) -> None:
        self.loop = VirtualLoop()
        self.world = World(VirtualClock(self.loop), draw)
        self.runs = 0
        patch.setattr(connection, "connect", self._connect)
        patch.setattr(connection, "SystemClock", lambda: self.world.clock)
        patch.setattr(lockfile, "Store", _Store)
        patch.setattr(shared, "run", self._drive)
        patch.setattr(text, "parse", _PARSED)
        patch.setattr(diff, "_explain", lambda *both: list(_explained(json.dumps(both))))
        disks.intercept(patch)

    @contextmanager
    def _connect(self, *_: object) -> Iterator[_Connection]:
        yield _Connection(_RUN.get(), self.world)

    def _drive(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end on virtual time, alone or along with those of others."""
        worker = _WORKER.get()
        task = self.loop.create_task(work)
        interrupt = _RUN.get().interrupt
        if interrupt is not None and CURRENT.get():
            FIGURES.fault("interrupt")
            self.loop.call_later(interrupt, task.cancel)
        try:
            return worker.wait_for(task) if worker else self.loop.run_until_complete(task)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    def together(self, *runs: Run, meddling: Callable[[], float] | None = None) -> None:
        """Carry out runs at once; others meddle meanwhile, at intervals that ``meddling`` gives."""
        others = self.loop.create_task(self._meddle(meddling)) if meddling else None
        try:
            if len(runs) == 1:
                copy_context().run(self._carry_out, runs[0])
            else:
                _interleave(self.loop, [partial(self._carry_out, run) for run in runs])
        finally:
            if others:
                others.cancel()
                self.loop.run_until_complete(asyncio.wait([others]))
        for run in runs:
            self._look_after(run)

    async def _meddle(self, pause: Callable[[], float]) -> None:
        while True:
            await asyncio.sleep(pause())
            self.world.meddle()

    def _carry_out(self, run: Run) -> None:
        self.runs += 1
        FIGURES.count("runs")
        FIGURES.count("runs over the wire", run.wired)
        _RUN.set(run)
        try:
            if run.delay:
                self._drive(asyncio.sleep(run.delay))
            run.errand = replace(run.errand, lock=run.machine.lock)
            CURRENT.set(run.process)
            run.result = self._do(run)
            run.ended = "ended"
        except (CrashError, KeyboardInterrupt, ReconcilerError) as error:
            run.ended = type(error).__name__
        finally:
            CURRENT.set(None)
            if run.machine.ledger.worker == id(run.process):
                run.machine.ledger.worker = None

    def _do(self, run: Run) -> RunResult | bool:
        def confirm(plan: object) -> bool:
            if run.thinks:
                self._drive(asyncio.sleep(run.thinks))
            return True

        errand, place = run.errand, run.machine.place
        if run.verb == "refresh":
            return refresh(place, errand.desired, ACCESS)
        told: dict[str, Any] = {"confirm": confirm, "emit": lambda event: None}
        allow = errand.allow_destroy
        if run.verb == "destroy":
            return destroy(place, errand.desired, ACCESS, allow_destroy=allow, **told)
        limits = (errand.prune, errand.max_deletions, errand.max_trajectories, run.parallelism)
        how = ApplyOptions(PlanOptions(*limits), run.wait, run.timeout, allow)
        return apply(place, errand.desired, ACCESS, how, **told)

    def _look_after(self, run: Run) -> None:
        """Check what a run left behind, and note what its manifests protect."""
        machine = run.machine
        if machine.disk.unsound():
            self.world.breaks(machine.disk.unsound())
        machine.disk.note_written()
        try:
            machine.read_back()
        except InvalidLockfileError as error:
            self.world.breaks(f"the lockfile is no valid one: {error.message}")
        if run.verb == "apply":
            _note_protection(run)


def _note_protection(run: Run) -> None:
    """Note what manifests protect, once a run that knew them has gone through.

    A run that ended early may or may not have come to know that protection was lifted.
    """
    desired, protected = run.errand.desired, run.machine.ledger.protected
    outcomes = getattr(run.result, "outcomes", ())
    ended = {outcome.resource for outcome in outcomes}
    for id_, target in desired.targets.items():
        if id_ in ended and id_ not in desired.drawn_in:
            protected[id_] = target.policy.prevent_destroy
        elif not target.policy.prevent_destroy:
            protected.pop(id_, None)


class _Worker:
    """A thread that works only while nobody else does: its turn is handed over explicitly."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.task: asyncio.Task[Any] | None = None
        self._turn, self._others = threading.Semaphore(0), threading.Semaphore(0)
        self._failure: BaseException | None = None
        turns = copy_context().run
        self._thread = threading.Thread(target=turns, args=(self._work, work), daemon=True)
        self._thread.start()

    @property
    def at_work(self) -> bool:
        return self._thread.is_alive()

    def resume(self) -> None:
        """Let it work until it has to wait for a task, or has ended. Raises what it raised."""
        self._turn.release()
        self._others.acquire()
        if self.task is None:
            self._thread.join()
        if self._failure:
            raise self._failure

    def wait_for(self, task: asyncio.Task[Any]) -> Any:
        """Wait, from within, until a task is done; return its result."""
        self.task = task
        self._others.release()
        self._turn.acquire()
        self.task = None
        return task.result()

    def _work(self, work: Callable[[], None]) -> None:
        self._turn.acquire()
        _WORKER.set(self)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._failure = error
        self._others.release()


def _interleave(loop: VirtualLoop, works: list[Callable[[], None]]) -> None:
    """Do several things at once that block, each waiting for tasks of one loop."""
    workers = [_Worker(work) for work in works]
    for worker in workers:
        worker.resume()
    while tasks := [worker.task for worker in workers if worker.task]:
        loop.run_until_complete(asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))
        for worker in workers:
            if worker.task and worker.task.done():
                worker.resume()
