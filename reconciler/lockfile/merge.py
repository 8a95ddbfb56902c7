"""Lockfiles in a merge of git: what the driver writes, and what stands between conflict markers.

Works on texts alone; which entry wins is ``reconciler.core.merge``'s matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.core.errors import InvalidLockfileError
from reconciler.core.merge import UnmergeableError, merge
from reconciler.core.urls import normalised
from reconciler.lockfile import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.lock import Lock
    from reconciler.core.model.manifest import ResourceId

_OURS, _BASE, _THEIRS = range(3)
_ALL = (_OURS, _BASE, _THEIRS)
_MARKER = re.compile(r"(<{7}|\|{7}|={7}|>{7})(?: .*)?\r?\n?")
_SECTION = re.compile(r"^(?=\w)", re.MULTILINE)
_BLOCK = re.compile(r"^  (\S.*):.*\n(?:    .*\n)*", re.MULTILINE)
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
        locks = (_read(ours, "our side"), _read(theirs, "their side"))
        return Merged(text.render(merge(_parsed(base), *locks)))
    except (InvalidLockfileError, UnmergeableError) as error:
        return Merged(_marked(ours, theirs), str(error))


def salvage(
    torn: str, api_url: str, declared: Mapping[ResourceId, str] | None = None
) -> Lock | None:
    """Return what the sides of a lockfile with conflict markers record of an API, as one.

    ``api_url`` is in normal form; the sides may write it otherwise. Of two digests of a resource
    the one in ``declared`` counts, of two base models of a repo none. A side that cannot be read is
    left out, and so is one of another API beside one of this. Where there is none of this, one of
    another API is returned as it is; None where there is nothing.
    """
    known = [lock for side in (_OURS, _THEIRS) if (lock := _salvaged(_side(torn, side)))]
    sides = [lock for lock in known if lock.api_url == api_url] or known[:1]
    if len(sides) < len((_OURS, _THEIRS)):
        return sides[0] if sides else None
    ours, theirs = sides
    base = _parsed(_side(torn, _BASE)) if "\n|||||||" in torn else None
    try:
        return merge(base, ours, theirs, declared)
    except UnmergeableError:  # of base models; live state tells them
        return merge(base, ours, replace(theirs, repos={}), declared)


def _salvaged(content: str) -> Lock | None:
    """Return what a text records that may hold a block twice."""
    first, last = (_parsed(_without_doubles(content, last=last)) for last in (False, True))
    if first and last and first != last:
        return merge(None, first, replace(last, repos=first.repos))
    return first or last


def _read(content: str, where: str) -> Lock:
    """Return a lock whose address is in normal form; raises InvalidLockfileError."""
    lock = text.parse(content, where)
    return replace(lock, api_url=normalised(lock.api_url))


def _parsed(content: str) -> Lock | None:
    try:
        return _read(content, "")
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


def _without_doubles(content: str, *, last: bool) -> str:
    """Return a text with only the first, or the last, of the blocks of a section with one key."""
    return "".join(_single(section, last=last) for section in _SECTION.split(content))


def _single(section: str, *, last: bool) -> str:
    blocks = list(_BLOCK.finditer(section))
    kept = {block[1]: block for block in (blocks if last else reversed(blocks))}
    for block in reversed(blocks):
        if kept[block[1]] is not block:
            section = section[: block.start()] + section[block.end() :]
    return section


def _marked(ours: str, theirs: str) -> str:
    return f"<<<<<<< ours\n{_ended(ours)}=======\n{_ended(theirs)}>>>>>>> theirs\n"


def _ended(content: str) -> str:
    return content if content.endswith("\n") or not content else f"{content}\n"
