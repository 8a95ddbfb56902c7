"""How line counts grew, as the versions of a lockfile tell it. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.desired import Stage


@dataclass(frozen=True, slots=True)
class Moment:
    """What one committed version of a lockfile counts.

    ``when`` is in seconds since 1970; ``date`` is the same for people, in UTC. ``lines`` are those
    of all targets together, ``targets`` how many there are.
    """

    when: int
    date: str
    commit: str
    targets: int
    lines: Mapping[Stage, int]


@dataclass(frozen=True, slots=True)
class History:
    """The moments of a lockfile, the oldest first; ``notes`` say what they do not tell, and why."""

    moments: tuple[Moment, ...] = ()
    notes: tuple[str, ...] = ()
