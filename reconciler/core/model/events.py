"""What happens while a plan is carried out, and how it ended. Data for whoever wants to show it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.core.errors import ExitCode, worst

if TYPE_CHECKING:
    from reconciler.core.model.desired import Stage
    from reconciler.core.model.manifest import ResourceId


class EventKind(StrEnum):
    """The kinds of event; scripts may match on these."""

    CREATED = "created"
    ADOPTED = "adopted"
    DELETED = "deleted"
    STARTED = "started"
    PROGRESS = "progress"
    COMPLETE = "complete"
    FAILED = "failed"
    WARNING = "warning"
    BLOCKED = "blocked"
    PENDING = "pending"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a resource or one of its stages; None is what does not apply."""

    kind: EventKind
    resource: ResourceId
    stage: Stage | None = None
    lines: int | None = None
    expected: int | None = None
    progress: float | None = None
    attempt: int | None = None
    seconds: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended for one resource."""

    resource: ResourceId
    code: ExitCode = ExitCode.OK
    stage: Stage | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended as a whole; text, JSON and the exit code all derive from it."""

    outcomes: tuple[Outcome, ...]
    interrupted: bool = False
    declined: bool = False
    destruction: bool = False
    requests: int = 0

    @property
    def exit_code(self) -> ExitCode:
        """The worst outcome, in the contract's order."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.declined:
            return ExitCode.PENDING
        return worst(outcome.code for outcome in self.outcomes)

    @property
    def converged(self) -> bool:
        """Whether live state now satisfies every manifest in scope."""
        return self.exit_code is ExitCode.OK

    def count(self, code: ExitCode) -> int:
        """Return how many resources ended in this way."""
        return sum(outcome.code is code for outcome in self.outcomes)
