"""The rule for names, and the nearest right word for a wrong one.

Pure functions of words; never decides whether a name refers to something.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sized

#: What the name of a resource looks like; to be matched in full.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
#: Names that cannot be addressed, because the API has a call of that name.
RESERVED = frozenset({"batch"})
#: A word longer than this is no misspelt one, and comparing it would take its time.
_LONGEST = 200
#: So many words are held against wrong ones, seconds; who has more of those has another problem.
MOST_COMPARED = 100_000


def is_name(word: str) -> bool:
    """Tell whether a resource may be called so."""
    return re.fullmatch(NAME, word) is not None and word not in RESERVED


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


class Comparisons:
    """Counts words that were compared, so that suggesting better ones comes to an end."""

    def __init__(self, most: int | None = None) -> None:
        self._left = MOST_COMPARED if most is None else most

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be compared."""
        return self._left <= 0

    def count(self, words: Sized) -> None:
        """Note that a word is compared with these."""
        self._left -= len(words)

    def suggest(self, word: str, candidates: Collection[str]) -> str:
        """Return what ``suggest`` does, and nothing once it is over."""
        if self.is_over:
            return ""
        self.count(candidates)
        return suggest(word, candidates)
