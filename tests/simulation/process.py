"""A run as the machine sees it: a process that may be gone at any step towards the outside.

Every such step is a *boundary* with a name. A process passes boundaries until the one at which it
dies; after that, whatever it still tries has no effect at all.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from .figures import FIGURES

if TYPE_CHECKING:
    from .disk import Disk


class CrashError(BaseException):
    """The process is gone: nobody handles this, and nothing is cleaned up."""


class Loss(StrEnum):
    """What becomes of what had not been synchronised to disk when a process died."""

    NONE = "killed"
    NAMES = "power cut, renames lost"
    CONTENT = "power cut, contents lost"


@dataclass(frozen=True, slots=True)
class Death:
    """Die at the ``nth`` passing of a boundary; any boundary, if it has no name."""

    nth: int
    boundary: str = ""
    loss: Loss = Loss.NONE


@dataclass(slots=True)
class Process:
    """One run of the reconciler."""

    disk: Disk
    death: Death | None = None
    dead: bool = False
    passed: list[str] = field(default_factory=list)
    #: For each boundary that was passed, whether a power cut there would take something back.
    at_risk: list[bool] = field(default_factory=list)

    def reach(self, boundary: str) -> None:
        """Pass a boundary, or die there. Raises CrashError."""
        if self.dead:
            raise CrashError
        self.passed.append(boundary)
        self.at_risk.append(self.disk.at_risk)
        if self.death is None:
            return
        name = self.death.boundary
        count = self.passed.count(name) if name else len(self.passed)
        if name in {"", boundary} and count == self.death.nth:
            self.dead = True
            FIGURES.fault(f"crash ({self.death.loss})")
            self.disk.lose(self.death.loss)
            raise CrashError(boundary)


#: The process on whose behalf something happens; None for the test itself.
CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)
