"""What many resources have in common, said once: one sentence, and a few names at most."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from reconciler.core.model.manifest import ResourceId

#: How many resources are named where they are many.
FEW = 3
_REQUEST = re.compile(r"[A-Z]+ (/\S*): ")


def cause(why: str) -> str:
    """Return why something failed without the request it was noticed at.

    A path that the API repeats in its sentence is left out as well.
    """
    request = _REQUEST.match(why)
    return why[request.end() :].replace(request[1], "…") if request else why


def common(reasons: Iterable[str]) -> str:
    """Return what all reasons have in common, or nothing."""
    whole = set(reasons)
    found = whole if len(whole) == 1 else set(map(cause, whole))
    return found.pop() if len(found) == 1 else ""


def names(found: Collection[ResourceId]) -> str:
    """Return a few addresses, and how many more there are."""
    first = ", ".join(str(id_) for id_ in sorted(found)[:FEW])
    more = len(found) - FEW
    return f"{first} and {more:,} more" if more > 0 else first
