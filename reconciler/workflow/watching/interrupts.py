"""Signals of a process that watches: noted at any time, obeyed only where that does no harm.

What runs is cancelled, and a pause is broken off, both by the first signal that comes; everywhere
else it is kept until then. Only who presses Ctrl-C again wants out wherever that is.
"""

from __future__ import annotations

import contextlib
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.workflow.stopping import TAKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Token
    from types import FrameType, TracebackType

    from reconciler.workflow.stopping import Taker

_STDIN = 0
#: From what counts least to what counts most, if several come.
_OBEYED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Looks after SIGHUP, SIGINT and SIGTERM while it is entered; for the main thread."""

    def __init__(self) -> None:
        self._noted: signal.Signals | None = None
        self._pausing = False
        self._at_terminal = os.isatty(_STDIN)
        self._cancel: Callable[[], object] = lambda: None
        self._before: dict[signal.Signals, signal._HANDLER] = {}
        self._token: Token[Taker | None] | None = None

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._note) for number in _OBEYED}
        self._token = TAKER.set(self._take_over)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token:
            TAKER.reset(self._token)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def take(self) -> signal.Signals | None:
        """Return the weightiest signal that has come, and forget it.

        A hangup because the terminal was closed means to stop: nobody would see what goes on.
        """
        noted, self._noted = self._noted, None
        if noted is signal.SIGHUP and self._at_terminal and not os.isatty(_STDIN):
            return signal.SIGINT
        return noted

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Raise KeyboardInterrupt for a signal that comes inside, or was not obeyed yet."""
        try:
            self._pausing = True
            self._obey()
            yield
        finally:
            self._pausing = False

    def _obey(self) -> None:
        if self._noted:
            raise KeyboardInterrupt

    def _take_over(self, cancel: Callable[[], object]) -> None:
        """Take what cancels a run that begins."""
        self._cancel = cancel
        if self._noted:
            cancel()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        came, before = signal.Signals(number), self._noted
        if before is None or _OBEYED.index(came) > _OBEYED.index(before):
            self._noted = came
        insists = came is before is signal.SIGINT
        if insists or (self._pausing and before is None):
            raise KeyboardInterrupt
        if before is None:
            with contextlib.suppress(RuntimeError):  # what ran has ended, and its loop is closed
                self._cancel()
