"""What a run and whoever began it tell each other while it runs: to stop, and how far it has come.

Holds words between the two, so that neither has to know the other. Never tells anybody else.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reconciler.core.errors import ReconcilerError
    from reconciler.core.model.events import Outcome, RunResult
    from reconciler.core.model.manifest import ResourceId

    #: Takes what breaks off a run cleanly, to be called at any later time, from a signal handler.
    Taker: TypeAlias = Callable[[Callable[[], object]], object]

#: Who takes over; nobody, unless a command sets it.
TAKER: ContextVar[Taker | None] = ContextVar("taker", default=None)


class _Session(Protocol):
    """What counts the requests that it has sent."""

    @property
    def requests(self) -> int: ...


@dataclass(slots=True)
class SoFar:
    """How far a run has come: how resources fared, and the number of requests sent."""

    outcomes: dict[ResourceId, Outcome] = field(default_factory=dict)
    requests: int = 0

    @contextmanager
    def counting(self, session: _Session) -> Iterator[None]:
        """Add the requests of a session, however what it is needed for ends."""
        try:
            yield
        finally:
            self.requests += session.requests

    def failed(self, resources: Iterable[ResourceId], error: ReconcilerError) -> None:
        """Note that an error befell all of these."""
        from reconciler.core.model.events import Outcome  # a plan needs none

        for id_ in resources:
            self.outcomes[id_] = Outcome(id_, error.exit_code, message=error.message)

    def result(self) -> RunResult:
        """Return the result of a run that ended here."""
        from reconciler.core.model.events import RunResult

        return RunResult(tuple(self.outcomes.values()), requests=self.requests)


_SO_FAR: ContextVar[SoFar | None] = ContextVar("so_far", default=None)


def so_far() -> SoFar:
    """Return what a run is to keep up to date: a new one, unless somebody follows it."""
    return _SO_FAR.get() or SoFar()


@contextmanager
def following() -> Iterator[SoFar]:
    """Yield what the run that begins inside keeps up to date, also where it raises."""
    found = SoFar()
    token = _SO_FAR.set(found)
    try:
        yield found
    finally:
        _SO_FAR.reset(token)
