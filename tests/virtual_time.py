"""Time that passes only when nobody has anything to do: hours of waiting in milliseconds.

The event loop never blocks. When every task sleeps, its clock jumps to the moment at which the
first one wakes, so the order of events is that of real time, and the same in every run. When every
task waits for something that can no longer come, that is an error instead of a hang.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Given = ParamSpec("Given")
Value = TypeVar("Value")


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for a time-out, lets it have passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits, and nothing will ever wake one")
        self.now += max(0.0, timeout)
        return []  # nothing here waits for files


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time; starts at 0."""

    def __init__(self) -> None:
        self.jumping = _JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


class VirtualClock:
    """The clock of a virtual loop, in the form in which the reconciler wants one."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass as it does during work that is not awaited, a slow write for one."""
        self._loop.jumping.now += seconds


def clock() -> VirtualClock:
    """Return the clock of the running virtual loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return VirtualClock(loop)


def run(work: Coroutine[Any, Any, Value]) -> Value:
    """Run to the end on a virtual loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def virtual(
    test: Callable[Given, Coroutine[Any, Any, Value]],
) -> Callable[Given, Value]:
    """Make an ordinary test of an asynchronous one."""

    @functools.wraps(test)
    def ordinary(*args: Given.args, **options: Given.kwargs) -> Value:
        return run(test(*args, **options))

    return ordinary
