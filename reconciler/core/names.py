"""The rule for names, and the nearest right word for a wrong one.

Pure functions of words; never decides whether a name refers to something.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What the name of a resource looks like; to be matched in full.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
#: Names that cannot be addressed, because the API has a call of that name.
RESERVED = frozenset({"batch"})
#: A word longer than this is no misspelt one, and comparing it would take its time.
_LONGEST = 200


def is_name(word: str) -> bool:
    """Tell whether a resource may be called so."""
    return NAME.fullmatch(word) is not None and word not in RESERVED


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that was most likely meant by ``word``, if any is near."""
    if len(word) > _LONGEST:
        return None
    import difflib  # only mistakes need it

    known = {candidate.lower(): candidate for candidate in sorted(candidates, reverse=True)}
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return known[near[0]] if near else None


def suggest(word: str, candidates: Iterable[str]) -> str:
    """Return the ending of a sentence that offers the nearest candidate, or nothing."""
    near = nearest(word, candidates)
    return f' (did you mean "{near}"?)' if near else ""
