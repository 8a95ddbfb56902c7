"""Which column of a dataset holds its questions, and what to say when there is none. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.service.work.datasets.finding import listed, nearest
from reconciler.service.work.generators import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

FIELDS = ("question", "prompt", "text", "input")
"""Where questions are looked for, in this order, when no column is named."""


def choose(label: str, names: list[str], wanted: str | None) -> str:
    """Return the column to read: the one wanted, else the first of FIELDS; raises SourceError."""
    found = next((each for each in _candidates(wanted) if each in names), None)
    if found is None:
        raise absent(label, names, wanted)
    if names.count(found) > 1:
        raise SourceError(f"{label} has several columns '{found}'; rename all but one")
    return found


def absent(label: str, names: Iterable[str], wanted: str | None) -> SourceError:
    """Return the error for a dataset, or a record of it, that has only the columns ``names``."""
    known = sorted(names)
    has = f"it has {listed(known)}" if known else "it has no columns"
    if wanted is None:
        fields = ", ".join(FIELDS)
        return SourceError(f"{label} holds no question: expected one of {fields}; {has}")
    hint = nearest(wanted, known)
    return SourceError(f"{label} has no column '{wanted}': {has}" + (f"; {hint}" if hint else ""))


def _candidates(wanted: str | None) -> tuple[str, ...]:
    return FIELDS if wanted is None else (wanted,)
