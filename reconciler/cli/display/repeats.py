"""What goes wrong for many in the same way: the first few are shown, the others counted.

Only tells which are shown; never writes anything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from reconciler.render import causes

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = TypeVar("Kind")


@dataclass(slots=True)
class Repeats(Generic[Kind]):
    """Counts what happened by its kind and cause."""

    _counts: Counter[tuple[Kind, str]] = field(default_factory=Counter)

    def is_shown(self, kind: Kind, why: str) -> bool:
        """Count something; return whether it is one of the first few of its sort."""
        sort = kind, causes.cause(why)
        self._counts[sort] += 1
        return self._counts[sort] <= causes.FEW

    def others(self) -> Iterator[tuple[Kind, str, int]]:
        """Yield every sort of which some were not shown, and how many, and forget them all."""
        counts, self._counts = self._counts, Counter()
        for (kind, why), count in counts.items():
            if count > causes.FEW:
                yield kind, why, count - causes.FEW
