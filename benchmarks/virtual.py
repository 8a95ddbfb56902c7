"""A whole run in virtual time: the engine and the client as they are, the stub without a socket.

Time passes only when every task sleeps, and then at once, so that hours take milliseconds.
"""

from __future__ import annotations

import asyncio
import selectors
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.stub_service import Service, Settings
from benchmarks.world import KEY, write_project
from reconciler import manifests
from reconciler.client import Api, Http, HttpSettings
from reconciler.client.transport import Answer
from reconciler.core.planning import compute_plan
from reconciler.engine.executor import execute
from reconciler.engine.observer import observe
from reconciler.engine.run import RunOptions

if TYPE_CHECKING:
    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.engine.pacing import Pace

_URL = "https://api.example"
#: Seconds that an answer takes.
_LATENCY = 0.05


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run went: its duration over that of its jobs, and the looks at one job, at most."""

    ratio: float
    looks: int


def project(targets: int) -> Desired:
    """Return what a project of that size declares."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "project"
        write_project(folder, targets)
        return manifests.load(folder).desired


def apply(desired: Desired, jobs: Settings, pace: Pace) -> Ran:
    """Observe, plan and carry out, as ``apply`` does, against a stub with nothing in it."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(_apply(desired, jobs, pace))


async def _apply(desired: Desired, jobs: Settings, pace: Pace) -> Ran:
    clock, service = _Clock(), Service(jobs)
    begun = clock.now()
    settings = HttpSettings(_URL, KEY)
    async with Http(settings, clock, connect=lambda _: _Carrier(service)) as http:
        api = Api(http)
        observed = await observe(desired, None, api)
        plan = compute_plan(desired, observed, None, api_url=_URL)
        await execute(
            *(desired, observed, None, plan),
            api=api,
            writer=_NoFile(),
            clock=clock,
            emit=lambda _: None,
            options=RunOptions(pace, parallelism=len(desired.targets)),
        )
    report = service.report()
    return Ran((clock.now() - begun) / report["critical_path"], report["most_looks"])


class _Carrier:
    """Carries requests to a service in the same process."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def send(self, method: str, path: str, body: bytes | None) -> Answer:
        """Answer after the latency."""
        await asyncio.sleep(_LATENCY)
        answer = self._service.answer(method.encode(), path.encode(), body or b"")
        head, _, content = answer.partition(b"\r\n\r\n")
        return Answer(int(head.split()[1]), "", (), content)

    async def aclose(self) -> None:
        """Have nothing to close."""


class _NoFile:
    """A lockfile that nobody reads."""

    def write(self, _: Lock) -> bool:
        """Claim to have written it."""
        return True


class _Clock:
    """The time of the running loop."""

    def now(self) -> float:
        """Return the time of the loop."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the loop."""
        await asyncio.sleep(seconds)


class _Selector(selectors.SelectSelector):
    """Instead of waiting for a time-out, lets it have passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits, and nothing will ever wake one")
        self.now += max(0.0, timeout)
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now
