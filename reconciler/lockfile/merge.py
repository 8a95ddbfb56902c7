"""Lockfiles in a merge of git: what the driver writes, and what stands between conflict markers.

Works on texts alone; which entry wins is ``reconciler.core.merge``'s matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.errors import InvalidLockfileError
from reconciler.core.merge import UnmergeableError, merge
from reconciler.lockfile import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId

_OURS, _BASE, _THEIRS = range(3)
_ALL = (_OURS, _BASE, _THEIRS)
_MARKER = re.compile(r"(<{7}|\|{7}|={7}|>{7})(?: .*)?\r?\n?")
_STARTS = {"<": (_OURS,), "|": (_BASE,), "=": (_THEIRS,), ">": _ALL}


@dataclass(frozen=True, slots=True)
class Merged:
    """A merge by text: the new one, and why it holds conflict markers, if it does."""

    text: str
    conflict: str = ""


def merge_texts(base: str, ours: str, theirs: str) -> Merged:
    """Return the lockfile of both sides; ``base`` is empty where there was none.

    Where that cannot be told, both are there as wholes, between conflict markers.
    """
    try:
        locks = (text.parse(ours, "our side"), text.parse(theirs, "their side"))
        return Merged(text.render(merge(_parsed(base), *locks)))
    except (InvalidLockfileError, UnmergeableError) as error:
        return Merged(_marked(ours, theirs), str(error))


def salvage(
    torn: str, api_url: str, declared: Mapping[ResourceId, str] | None = None
) -> Lock | None:
    """Return what the sides of a lockfile with conflict markers record of an API, as one.

    Of two digests of a resource the one in ``declared`` counts. A side that cannot be read, or is
    of another API, is left out; None if that leaves nothing.
    """
    ours, theirs = (_of_api(_parsed(_side(torn, side)), api_url) for side in (_OURS, _THEIRS))
    if not (ours and theirs):
        return ours or theirs
    base = _parsed(_side(torn, _BASE)) if "\n|||||||" in torn else None
    try:
        return merge(base, ours, theirs, declared)
    except UnmergeableError:
        return None


def _of_api(lock: Lock | None, api_url: str) -> Lock | None:
    return lock if lock and lock.api_url == api_url else None


def _parsed(content: str) -> Lock | None:
    try:
        return text.parse(content, "")
    except InvalidLockfileError:
        return None


def _side(torn: str, side: int) -> str:
    """Return what a file with conflict markers would be had this side won everywhere."""
    kept: list[str] = []
    current: tuple[int, ...] = _ALL
    for line in torn.splitlines(keepends=True):
        marker = _MARKER.fullmatch(line)
        if marker:
            current = _STARTS[marker[1][0]]
        elif side in current:
            kept.append(line)
    return "".join(kept)


def _marked(ours: str, theirs: str) -> str:
    return f"<<<<<<< ours\n{_ended(ours)}=======\n{_ended(theirs)}>>>>>>> theirs\n"


def _ended(content: str) -> str:
    return content if content.endswith("\n") or not content else f"{content}\n"
