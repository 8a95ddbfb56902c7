"""The outputs of stages: which can be downloaded, what a page of one holds, and how a pull ended.

Plain data; nothing here downloads or writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.core.errors import ExitCode, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.core.model.desired import Stage
    from reconciler.core.model.manifest import JsonValue, ResourceId

#: The most records that the API puts on a page.
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a complete stage, of so many ``lines``, under the name the target bears live.

    ``recorded`` is the digest that the lockfile holds of what was pulled before.
    """

    resource: ResourceId
    stage: Stage
    live_name: str
    lines: int
    recorded: str | None = None


@dataclass(frozen=True, slots=True)
class OutputPage:
    """Records as the API sent them, and what it said beside them; None is what it did not say.

    ``job`` is the number of the job that made them.
    """

    records: Sequence[JsonValue]
    status: str | None = None
    lines: int | None = None
    offset: int | None = None
    has_more: bool | None = None
    job: int | None = None


class Verdict(StrEnum):
    """How it went with one output; scripts may match on these.

    ``changed`` and ``unrecorded`` are what ``--check`` finds beside ``unchanged``.
    """

    PULLED = "pulled"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    UNRECORDED = "unrecorded"
    CHANGED = "changed"
    PENDING = "pending"
    BLOCKED = "blocked"
    FAILED = "failed"


_CODES = {
    Verdict.UNRECORDED: ExitCode.PENDING,
    Verdict.PENDING: ExitCode.PENDING,
    Verdict.CHANGED: ExitCode.BLOCKED,
    Verdict.BLOCKED: ExitCode.BLOCKED,
    Verdict.FAILED: ExitCode.ERROR,
}


@dataclass(frozen=True, slots=True)
class Pulled:
    """How it went with one output.

    ``size`` is that of its JSONL in bytes, ``digest`` the one of those bytes, ``file`` where they
    are, and ``message`` says why there are none, or what is remarkable.
    """

    resource: ResourceId
    stage: Stage
    verdict: Verdict
    message: str = ""
    file: str = ""
    records: int = 0
    size: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class PullResult:
    """How a pull ended as a whole, in the order of the targets."""

    outputs: tuple[Pulled, ...]
    check: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """The worst of all, in the contract's order."""
        return worst(_CODES.get(pulled.verdict, ExitCode.OK) for pulled in self.outputs)

    def having(self, *verdicts: Verdict) -> tuple[Pulled, ...]:
        """Return the outputs with which it went that way."""
        return tuple(pulled for pulled in self.outputs if pulled.verdict in verdicts)
