"""A cron loop of ``reconciler apply``, in virtual time, on the very functions of the command line.

Only the outermost parts are exchanged: the connection to the API, the clock and the event loop. The
lockfile lies on disk, the run lock is held. A seed decides everything, so that a seed is a replay.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from virtual_time import VirtualClock, VirtualLoop

from reconciler import lockfile
from reconciler.core.errors import ApiError, ExitCode
from reconciler.core.model.manifest import Kind
from reconciler.core.planning.orphans import find_orphans
from reconciler.core.scope import Scope, narrow
from reconciler.engine.pacing import HOSTED
from reconciler.workflow import verbs
from reconciler.workflow.access import Access
from reconciler.workflow.place import place

from .projects import REPO, Project
from .watched import CALM, Errand, WatchedApi, Weather, storm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from pathlib import Path

    import pytest

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.events import RunResult
    from reconciler.core.model.lock import Lock

API_URL = "https://api.example"
#: Runs after which everything that can converge has converged, once nothing goes wrong any more.
ENOUGH = 5


class BrokenError(AssertionError):
    """A rule of conduct was broken."""


@dataclass(frozen=True, slots=True)
class _Connection:
    api: WatchedApi
    name: str = API_URL
    pace = HOSTED

    @asynccontextmanager
    async def open(self) -> AsyncIterator[WatchedApi]:
        yield self.api


class _Store(lockfile.Store):
    """The lockfile on disk, read back after every write; a killed run writes nothing more."""

    cron: Cron

    def write(self, lock: Lock) -> bool:
        if self.cron.killed:
            return False
        changed = super().write(lock)
        if changed:
            self.cron.lock_written(self.path)
        return changed


class Cron:
    """A project, an API, and the runs that shall bring them together."""

    def __init__(self, seed: int, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.draw = Random(seed)
        self.loop = VirtualLoop()
        self.api = WatchedApi(VirtualClock(self.loop), self.draw)
        self.project = Project(self.draw)
        self.place = place(root)
        self.killed = False
        self.runs = 0
        self.ending: RunResult | None = None
        self._known: Lock | None = None
        self._patch(patch)

    def _patch(self, patch: pytest.MonkeyPatch) -> None:
        store = type("Store", (_Store,), {"cron": self})
        patch.setattr(verbs, "connect", self._connect)
        patch.setattr(verbs, "SystemClock", lambda: self.api.clock)
        patch.setattr(verbs, "Store", store)
        patch.setattr(verbs, "_run", self._drive)
        self._interrupt: float | None = None
        self._accident = self._meddling = False

    @contextmanager
    def _connect(self, *_: object) -> Iterator[_Connection]:
        yield _Connection(self.api)

    # One run.

    def _drive(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run to the end on virtual time, with whatever happens meanwhile."""
        task = self.loop.create_task(work)
        others = self.loop.create_task(self._others(task))
        try:
            return self.loop.run_until_complete(task)
        finally:
            self.api.accident = None
            others.cancel()
            with suppress(asyncio.CancelledError):
                self.loop.run_until_complete(others)

    async def _others(self, task: asyncio.Task[Any]) -> None:
        if self._interrupt is not None:
            self.loop.call_later(self._interrupt, self._stop, task)
        if self._accident:
            self.api.accident = lambda: self._stop(task, killed=True)
        while self._meddling:
            await asyncio.sleep(self._moment())
            self.api.meddle()

    def _stop(self, task: asyncio.Task[Any], *, killed: bool = False) -> None:
        """Interrupt a run, or kill it: then it brings nothing more to disk."""
        if not task.done():
            self.killed = killed or self._happens(0.5)
            task.cancel()

    def _moment(self) -> float:
        """Return a duration in seconds: a few moments or several minutes."""
        return float(10 ** self.draw.uniform(-2, 2.5))

    def apply(self, errand: Errand, weather: Weather, **options: Any) -> RunResult | None:
        """Run ``apply`` once; None if that ended early. Raises BrokenError."""
        self.runs += 1
        self.killed = False
        self.api.expect(errand, weather)
        planning = verbs.PlanOptions(
            errand.prune,
            errand.max_deletions,
            errand.max_trajectories,
            options.pop("parallelism", 10),
        )
        how = verbs.ApplyOptions(planning, allow_destroy=errand.allow_destroy, **options)
        result = None
        with suppress(asyncio.CancelledError, ApiError):
            result = verbs.apply(
                self.place,
                errand.desired,
                Access(api_url=API_URL),
                how,
                confirm=lambda plan: True,
                emit=lambda event: None,
            )
        if self.api.broken:
            raise BrokenError("; ".join(self.api.broken))
        self._note_protection(errand.desired, result)
        return result

    def _note_protection(self, desired: Desired, result: RunResult | None) -> None:
        """Note what manifests protect, once a run that knew them has gone through.

        A run that ended early may or may not have come to know that protection was lifted.
        """
        ended = {outcome.resource for outcome in result.outcomes} if result else set()
        for id_, target in desired.targets.items():
            if id_ in ended and id_ not in desired.drawn_in:
                self.api.protected[id_] = target.policy.prevent_destroy
            elif not target.policy.prevent_destroy:
                self.api.protected.pop(id_, None)

    def lock(self) -> Lock | None:
        """Return what the lockfile holds, as read back after it was written last."""
        return self._known if self.place.lockfile.exists() else None

    def lock_written(self, path: Path) -> None:
        """Read a lockfile back; a target whose entry is for something else counts afresh."""
        lock = lockfile.parse(path.read_text(), "reconciler.lock")
        before = self._known.targets if self._known else {}
        for id_, entry in lock.targets.items():
            old = before.get(id_)
            if old is None or (old.digest, old.live_name) != (entry.digest, entry.live_name):
                self.api.forget_retries(id_.repo, entry.live_name)
        self._known = lock

    # The storm.

    def stormy_run(self) -> None:
        """Change something, lose something, and run into whatever weather there is."""
        for _ in range(self.draw.choice((0, 0, 1, 2))):
            self.project.change()
        if self._happens(0.05):
            self.place.lockfile.unlink(missing_ok=True)
            self._known = None
            self.api.forget_retries()
        for _ in range(self.draw.choice((0, 0, 1))):
            self.api.meddle()
        self.loop.run_until_complete(asyncio.sleep(self._moment()))
        self._interrupt = self._moment() if self._happens(0.25) else None
        self._accident = self._happens(0.2)
        self._meddling = self._happens(0.4)
        weather = storm(self.draw) if self._happens(0.8) else CALM
        self.apply(self._errand(), weather, **self._options())
        self._interrupt, self._accident, self._meddling = None, False, False

    def _happens(self, share: float) -> bool:
        return self.draw.random() < share

    def _errand(self) -> Errand:
        desired = self.project.declared()
        if self._happens(0.2):
            chosen = self.draw.choice(self.project.names())
            desired = narrow(desired, Scope(targets=(f"{REPO}/{chosen}",)))
        return Errand(
            desired,
            self.lock(),
            prune=self._happens(0.4),
            allow_destroy=self._happens(0.6),
            max_deletions=self.draw.choice((10, 10, 1, 0)),
            max_trajectories=self.draw.choice((None, None, None, 6)),
        )

    def _options(self) -> dict[str, Any]:
        return {
            "parallelism": self.draw.choice((1, 2, 10)),
            "wait": self._happens(0.8),
            "timeout": self.draw.choice((None, None, 30.0)),
        }

    # The calm after it.

    def settle(self) -> None:
        """Let everything come to rest. Raises BrokenError."""
        self.api.calm_down()
        if self._happens(0.5):
            self.project.give_in()
        errand = Errand(
            self.project.declared(),
            None,
            prune=self._happens(0.5),
            allow_destroy=self._happens(0.7),
        )
        for _ in range(ENOUGH):
            result = self._calm_run(errand)
        self._check_ending(result)
        self._check_rest(errand, result)
        self._check_refresh(errand.desired, result)
        self.ending = result

    def _calm_run(self, errand: Errand) -> RunResult:
        now = Errand(errand.desired, self.lock(), errand.prune, errand.allow_destroy)
        result = self.apply(now, CALM)
        if result is None:
            raise BrokenError("a run on a calm day ended early")
        return result

    def _check_ending(self, result: RunResult) -> None:
        for outcome in result.outcomes:
            if outcome.code not in {ExitCode.OK, ExitCode.BLOCKED}:
                raise BrokenError(f"{outcome.resource} never settles: {outcome.message}")
            if outcome.code is ExitCode.BLOCKED and not outcome.message:
                raise BrokenError(f"{outcome.resource} is blocked for no reason")

    def _check_rest(self, errand: Errand, before: RunResult) -> None:
        text, done = self._bytes(), len(self.api.journal)
        again = self._calm_run(errand)
        if self.api.journal[done:]:
            raise BrokenError(f"writes without need: {self.api.journal[done:]}")
        if self._bytes() != text:
            raise BrokenError("a run that changes nothing changes the lockfile")
        if set(again.outcomes) != set(before.outcomes):
            raise BrokenError(f"the same run ends otherwise: {before.outcomes} {again.outcomes}")

    def _check_refresh(self, desired: Desired, result: RunResult) -> None:
        access, text, orphans = Access(api_url=API_URL), self._bytes(), self._orphans(desired)
        if text is None or not any(o.resource.kind is Kind.REPO for o in result.outcomes):
            return  # refused as a whole: such a run records nothing
        if verbs.refresh(self.place, desired, access):
            raise BrokenError("refresh changes the lockfile of a project at rest")
        if result.converged and not orphans:
            self.place.lockfile.unlink()
            verbs.refresh(self.place, desired, access)
            if self._bytes() != text:
                raise BrokenError("refresh does not bring back the same lockfile")

    def _orphans(self, desired: Desired) -> bool:
        return bool(find_orphans(desired, self.lock()))

    def _bytes(self) -> bytes | None:
        return self.place.lockfile.read_bytes() if self.place.lockfile.exists() else None


def live(seed: int, root: Path, patch: pytest.MonkeyPatch, runs: int) -> Cron:
    """Live through a storm and the calm after it. Raises BrokenError, which names the seed."""
    cron = Cron(seed, root, patch)
    try:
        for _ in range(runs):
            cron.stormy_run()
        cron.settle()
    except BrokenError as error:
        raise BrokenError(f"seed {seed}, run {cron.runs}: {error}") from error
    finally:
        cron.loop.close()
    return cron
