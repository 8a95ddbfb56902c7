"""Which live resource a declared one is: its own name, its revision, or none yet.

A revision bears a name derived from the declared content alone, so it is found without a lockfile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from reconciler.core.model.observed import Absent, Unreadable
from reconciler.core.planning.candidates import revision_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.model.desired import DesiredPrompt, DesiredTarget
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.plan import FieldDiff

Live = TypeVar("Live")


class Match(Enum):
    """How a declared resource stands to what is live."""

    EQUAL = auto()
    MISSING = auto()
    DIFFERENT = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Resolution:
    """A match, the live name it concerns, and the differences or the reason it is unknown.

    ``taken`` are the differences from what holds the name of the revision already.
    """

    match: Match
    live_name: str
    diff: tuple[FieldDiff, ...] = ()
    why: str = ""
    taken: tuple[FieldDiff, ...] = ()


def resolve(
    resource: DesiredPrompt | DesiredTarget,
    look: Callable[[ResourceId], Live | Absent | Unreadable],
    compare: Callable[[Live], tuple[FieldDiff, ...]],
) -> Resolution:
    """Find the live counterpart of a declared resource under its name or its revision's name."""
    own = _judge(resource.name, look(resource.id), compare)
    if own.match in {Match.EQUAL, Match.UNKNOWN}:
        return own
    revised = revision_of(resource)
    revision = _judge(revised.name, look(revised), compare)
    if revision.match in {Match.EQUAL, Match.UNKNOWN}:
        return revision
    return replace(own, taken=revision.diff)


def _judge(
    name: str,
    seen: Live | Absent | Unreadable,
    compare: Callable[[Live], tuple[FieldDiff, ...]],
) -> Resolution:
    if isinstance(seen, Unreadable):
        return Resolution(Match.UNKNOWN, name, why=seen.why)
    if isinstance(seen, Absent):
        return Resolution(Match.MISSING, name)
    diff = compare(seen)
    return Resolution(Match.DIFFERENT if diff else Match.EQUAL, name, diff)
