"""Time as a thing handed in, so that tests can run it faster than the sun."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """A monotonic clock and a way to let time pass; both in seconds."""

    def now(self) -> float:
        """Return the time since some fixed moment."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        ...
