"""Rounds of a watch, or single runs: how each ended, and what all of them add up to.

Plain data; nothing here measures, and every moment is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from reconciler.core.errors import ExitCode
from reconciler.core.model.desired import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.events import EventKind, RunResult
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.watching.standing import Standing, State, Transition

_Key = TypeVar("_Key")
#: Upper bounds of the classes of durations, in seconds; what took longer is in none.
BOUNDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 7200.0, 14400.0)


class Ending(StrEnum):
    """How a round ended; scripts and alerts may match on these."""

    CONVERGED = "converged"
    PENDING = "pending"
    BLOCKED = "blocked"
    FAILED = "failed"
    LOCKED = "locked"

    @property
    def is_success(self) -> bool:
        """Whether the round did all it could do without a person."""
        return self in {Ending.CONVERGED, Ending.PENDING, Ending.BLOCKED}


_ENDINGS = {
    ExitCode.OK: Ending.CONVERGED,
    ExitCode.PENDING: Ending.PENDING,
    ExitCode.BLOCKED: Ending.BLOCKED,
    ExitCode.LOCKED: Ending.LOCKED,
}


def ending_of(code: ExitCode) -> Ending:
    """Return how a round ended that would have ended a command with this exit code."""
    return _ENDINGS.get(code, Ending.FAILED)


@dataclass(frozen=True, slots=True)
class Round:
    """How a round ended, and what has changed by it.

    ``at`` is when it ended, in seconds since 1970; ``next_in`` the seconds to the next one;
    ``activity`` how often what was done that changes something live or on record.
    """

    ending: Ending
    exit_code: ExitCode
    at: float
    seconds: float
    requests: int
    changes: tuple[Transition, ...] = ()
    activity: Mapping[EventKind, int] = field(default_factory=dict)
    result: RunResult | None = None
    error: str = ""
    number: int = 0
    next_in: float = 0.0


@dataclass(frozen=True, slots=True)
class Totals:
    """All rounds so far. Times are in seconds, moments in seconds since 1970.

    ``durations`` counts rounds by the class of their duration, the last one being that of the
    longest, without a bound.
    """

    rounds: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    durations: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    seconds: float = 0.0
    last_round: float | None = None
    last_success: float | None = None

    def plus(self, ending: Ending, seconds: float, at: float) -> Totals:
        """Return the totals with one more round, which ended ``at`` that moment."""
        durations = list(self.durations)
        durations[sum(seconds > bound for bound in BOUNDS)] += 1
        return replace(
            self,
            rounds={**self.rounds, ending: self.rounds.get(ending, 0) + 1},
            durations=tuple(durations),
            seconds=self.seconds + seconds,
            last_round=at,
            last_success=at if ending.is_success else self.last_success,
        )

    def asked(self, requests: Mapping[str, int]) -> Totals:
        """Return the totals with further requests, by what came of them."""
        names = self.requests.keys() | requests.keys()
        summed = {name: self.requests.get(name, 0) + requests.get(name, 0) for name in names}
        return replace(self, requests=summed)


@dataclass(frozen=True, slots=True)
class Levels:
    """Where things stand, by repo: targets by state, lines seen and wanted by stage."""

    targets: Mapping[tuple[str, State], int] = field(default_factory=dict)
    lines: Mapping[tuple[str, Stage], int] = field(default_factory=dict)
    wanted: Mapping[tuple[str, Stage], int] = field(default_factory=dict)


def levels(desired: Desired, standings: Mapping[ResourceId, Standing], lock: Lock | None) -> Levels:
    """Return where the targets stand that a run was about; lines are those on record."""
    targets: dict[tuple[str, State], int] = {}
    lines: dict[tuple[str, Stage], int] = {}
    wanted: dict[tuple[str, Stage], int] = {}
    for id_, target in desired.targets.items():
        if id_ in desired.drawn_in:
            continue
        if id_ in standings:
            _add(targets, (id_.repo, standings[id_].state), 1)
        locked = lock.targets.get(id_) if lock else None
        for stage in Stage:
            if target.stage(stage).wanted:
                seen = locked.stages.get(stage) if locked else None
                _add(lines, (id_.repo, stage), seen.lines if seen else 0)
                _add(wanted, (id_.repo, stage), target.stage(stage).min_lines)
    return Levels(targets, lines, wanted)


def _add(counts: dict[_Key, int], key: _Key, more: int) -> None:
    counts[key] = counts.get(key, 0) + more
