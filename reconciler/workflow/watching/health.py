"""Whether a watch does what it is there for: alive, ready, and why not.

Counts by the clock that is handed in. A round may take hours, for it waits for jobs; only the time
between rounds makes a watch look old.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVALS = 3


class Health:
    """How long ago a round did not fail; told of each when it begins and when it ends."""

    def __init__(self, interval: float, now: Callable[[], float] = time.monotonic) -> None:
        self._longest = _INTERVALS * interval
        self._now = now
        self._since = now()
        self._begun: float | None = None
        self._is_ready = False

    def begins(self) -> None:
        """Take note that a round begins."""
        self._begun = self._now()

    def ends(self, *, success: bool) -> None:
        """Take note that a round has ended."""
        if success:
            self._since, self._is_ready = self._now(), True
        self._begun = None

    @property
    def age(self) -> float:
        """Seconds from the last success, or the start, to now or to the begin of this round."""
        begun = self._begun
        return max(0.0, (self._now() if begun is None else begun) - self._since)

    @property
    def is_alive(self) -> bool:
        """Whether the last round that did not fail is younger than three intervals."""
        return self.age < self._longest

    @property
    def is_ready(self) -> bool:
        """Whether a round has not failed since the start."""
        return self._is_ready
