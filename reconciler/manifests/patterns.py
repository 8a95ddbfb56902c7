"""Find files by a pattern such as ``questions/*.txt``, relative to a manifest.

The rules are those for a file that a manifest names: everything lies inside the directory that
holds the manifests, links resolved. Hidden names are found only where the pattern spells out the
dot, and directory links are followed only where it names them. Looks at names; opens no file.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconciler.core.declare.cells import MOST_CELLS
from reconciler.manifests import files
from reconciler.manifests.discovery import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The most directories that one search lists: seconds, were there no end to it.
_MOST_LISTED = 20_000
_OUTSIDE = "leads out of the directory that holds the manifests"
_ANY_DEPTH = "**"


def find(folder: str, pattern: str, root: str) -> list[str]:
    """Return the paths of the files below ``folder`` that a pattern means, sorted.

    Raises UnreadableError where it means none, too many, or one that lies outside of ``root``, a
    resolved path.
    """
    if pattern.startswith("/"):
        raise files.UnreadableError("must be relative to this manifest")
    if "\0" in pattern:
        raise files.UnreadableError("has a name that no file can have")
    *above, last = [step for step in pattern.split("/") if step not in ("", ".")] or [""]
    above += [_ANY_DEPTH] if last == _ANY_DEPTH else []
    search = _Search(folder, root)
    places, before = {""}, ""
    for step in above:
        if not step == before == _ANY_DEPTH:  # twice is the same as once
            places = {found for place in places for found in search.directories(place, step)}
        before = step
    last = "*" if last == _ANY_DEPTH else last
    found = {name for place in sorted(places) for name in search.files(place, last)}
    if not found:
        raise files.MissingError("finds no file")
    return sorted(found)


class _Search:
    """One search; paths are relative to ``folder``."""

    def __init__(self, folder: str, root: str) -> None:
        self._folder = folder
        self._root = root
        self._room = MOST_CELLS
        self._listings = _MOST_LISTED

    def directories(self, place: str, step: str) -> Iterator[str]:
        """Yield the directories that one step of a pattern leads to."""
        if step == _ANY_DEPTH:
            yield from self._all_below(place)
        elif _is_pattern(step):
            yield from self._matching(place, step, lambda it: it.is_dir(follow_symlinks=False))
        elif files.is_directory(self._path(name := _joined(place, step))):
            yield name

    def files(self, place: str, step: str) -> Iterator[str]:
        """Yield the files that the last step of a pattern means."""
        for name in self._candidates(place, step):
            path = self._path(name)
            if not files.is_inside(os.path.realpath(path), self._root):
                raise files.UnreadableError(f"finds {printable(name)}, which {_OUTSIDE}")
            if not files.is_file(path):
                continue
            if not _is_text(name):
                raise files.UnreadableError(f"finds {printable(name)}, a name that is not UTF-8")
            self._room -= 1
            if self._room < 0:
                raise files.UnreadableError(f"finds more than {MOST_CELLS:,} files")
            yield name

    def _candidates(self, place: str, step: str) -> Iterator[str]:
        if _is_pattern(step):
            yield from self._matching(place, step, lambda it: not it.is_dir(follow_symlinks=False))
        else:
            yield _joined(place, step)

    def _all_below(self, place: str) -> Iterator[str]:
        waiting = [place]
        while waiting:
            yield (here := waiting.pop())
            waiting.extend(self.directories(here, "*"))

    def _matching(
        self, place: str, step: str, wanted: Callable[[os.DirEntry[str]], bool]
    ) -> Iterator[str]:
        for entry in self._entries(place):
            hidden = entry.name.startswith(".") and not step.startswith(".")
            if not hidden and fnmatchcase(entry.name, step) and wanted(entry):
                yield _joined(place, entry.name)

    def _entries(self, place: str) -> list[os.DirEntry[str]]:
        path = self._path(place)
        self._listings -= 1
        if self._listings < 0:
            raise files.UnreadableError("looks into too many directories")
        if not files.is_inside(os.path.realpath(path), self._root):
            raise files.UnreadableError(_OUTSIDE)
        try:
            with os.scandir(path) as entries:
                return list(entries)
        except OSError as error:
            raise files.UnreadableError(f"cannot be followed: {error.strerror}") from error

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)  # noqa: PTH118 - Path would cost more than looking


def _is_pattern(step: str) -> bool:
    return any(char in step for char in "*?[")


def _joined(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
