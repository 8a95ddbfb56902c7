"""Who looks after signals while something runs: what runs itself, or whoever says so here.

Holds a word between the two, so that neither has to know the other.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Takes what breaks off a run cleanly, to be called at any later time, from a signal handler.
    Taker: TypeAlias = Callable[[Callable[[], object]], object]

#: Who takes over; nobody, unless a command sets it.
TAKER: ContextVar[Taker | None] = ContextVar("taker", default=None)
