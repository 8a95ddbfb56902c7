"""The loop of ``watch``: a round, a pause, the next round, until a signal ends it.

Never two rounds at once: the next one begins when the last has ended and its pause is over, or when
SIGHUP asks for it. Time, chance and the rounds themselves are handed in.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.core.errors import ExitCode
from reconciler.core.watching.rounds import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.watching.rounds import Round
    from reconciler.workflow.watching.interrupts import Interrupts

#: No pause is longer because of failures, in seconds, unless the interval itself is.
LONGEST_PAUSE = 900.0
_SPREAD = 0.1
#: So many doublings reach any longest pause; more would only overflow.
_MOST_DOUBLINGS = 30
#: How SIGTERM ends a process is what systemd and Kubernetes expect of one that stops as told.
_EXIT_CODES = {signal.SIGTERM: ExitCode.OK, signal.SIGINT: ExitCode.INTERRUPTED}


def pause(interval: float, failures: int, draw: float) -> float:
    """Return how long to wait after ``failures`` failed rounds in a row; ``draw`` in [0, 1).

    Doubled by every failure after the first, to a quarter of an hour at most, and spread by a tenth
    either way, so that many watchers do not ask at the same moments.
    """
    longest = max(interval, LONGEST_PAUSE)
    doublings = min(max(0, failures - 1), _MOST_DOUBLINGS)
    whole = min(longest, interval * 2.0**doublings)
    return whole * (1 - _SPREAD + 2 * _SPREAD * draw)


@dataclass(slots=True)
class Watch:
    """A watch under way. ``round_`` raises KeyboardInterrupt when a signal broke it off.

    ``tell`` is told of every round, and whether that is news.
    """

    interval: float
    round_: Callable[[], Round]
    tell: Callable[[Round, bool], object]
    interrupts: Interrupts
    sleep: Callable[[float], object]
    draw: Callable[[], float]
    _failures: int = 0
    _last: Ending | None = None
    _number: int = 0

    def run(self) -> signal.Signals:
        """Go round until a signal says stop; return which."""
        while True:
            try:
                self._once()
            except KeyboardInterrupt:
                came = self.interrupts.take() or signal.SIGINT
                if came is not signal.SIGHUP:
                    return came

    def _once(self) -> None:
        self._number += 1
        done = self.round_()
        self._failures = self._failures + 1 if done.ending is Ending.FAILED else 0
        wait = pause(self.interval, self._failures, self.draw())
        self.tell(replace(done, number=self._number, next_in=wait), self._is_news(done))
        self._last = done.ending
        with self.interrupts.pausing():
            self.sleep(wait)

    def _is_news(self, done: Round) -> bool:
        if done.changes or done.activity or done.ending is Ending.FAILED:
            return True
        return done.ending is not (self._last or Ending.CONVERGED)


def exit_code(stopped_by: signal.Signals) -> ExitCode:
    """Return the exit code of a watch that a signal has stopped."""
    return _EXIT_CODES.get(stopped_by, ExitCode.INTERRUPTED)
