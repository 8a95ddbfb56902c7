"""The cells of a matrix: every combination of its values, less and more, as GitHub Actions has it.

Pure: the files that an axis names are found elsewhere and handed in. Knows nothing of targets.
"""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING, TypeAlias

from reconciler.core.model.manifest import Severity
from reconciler.core.names import Comparisons

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from reconciler.core.model.manifest import Document, JsonObject, JsonValue, Problem

#: The values of a cell by name; a file that an axis found has its path under ``NAME.path``.
Values: TypeAlias = "Mapping[str, str | float | bool]"

#: The most cells of one matrix, also before any are excluded.
MOST_CELLS = 10_000
#: What ``include`` and ``exclude`` may look at, all together: seconds, were there no end to it.
_MOST_LOOKS = 5_000_000
_RULES = ("include", "exclude")


class _TooManyError(Exception):
    """More than anybody means; the message says of what."""


def cells(
    doc: Document, files: Mapping[str, Sequence[Values]], problems: list[Problem]
) -> list[Values]:
    """Return the cells of a TargetSet in order, the values of its first axis changing last.

    ``files`` holds the values of every axis that is given by a pattern of files.
    """
    matrix = doc.value["matrix"]
    axes = {name: axis for name, axis in matrix.items() if name not in _RULES}
    try:
        found = _combined(doc, axes, files, problems)
    except _TooManyError as error:
        problems.append(doc.problem(("matrix",), str(error), at_key=True))
        return []
    if not found:
        problems.append(doc.problem(("matrix",), "this matrix has no cell", at_key=True))
    return found


def _combined(
    doc: Document,
    axes: Mapping[str, JsonValue],
    files: Mapping[str, Sequence[Values]],
    problems: list[Problem],
) -> list[Values]:
    choices = [
        files[name] if name in files else [{name: value} for value in axis]
        for name, axis in axes.items()
    ]
    combinations = product(*choices) if choices else iter(())
    whole: list[Values] = [
        {name: value for part in parts for name, value in part.items()}
        for parts in islice(combinations, MOST_CELLS + 1)
    ]
    _check_count(whole)
    kept = _without(doc, _Index(whole, axes), whole, problems)
    return _with(doc.value["matrix"].get("include", ()), _Index(kept, axes), kept)


def _without(
    doc: Document, index: _Index, whole: list[Values], problems: list[Problem]
) -> list[Values]:
    gone: set[int] = set()
    comparisons = Comparisons()
    for number, entry in enumerate(doc.value["matrix"].get("exclude", ())):
        path = ("matrix", "exclude", number)
        unknown = [name for name in entry if name not in index.axes]
        for name in unknown:
            text = f"there is no axis {name}{comparisons.suggest(name, index.axes)}"
            problems.append(doc.problem((*path, name), text, at_key=True))
        places = () if unknown or not entry else index.find(entry)
        if not places and not unknown:
            problems.append(doc.problem(path, "this excludes nothing", Severity.WARNING))
        gone.update(places)
    return [cell for number, cell in enumerate(whole) if number not in gone]


def _with(include: Sequence[JsonObject], index: _Index, kept: list[Values]) -> list[Values]:
    """Return the cells with what ``include`` adds to them, and those it adds itself."""
    found, new = list(kept), []
    for entry in include:
        places = index.find(entry)
        added = {name: value for name, value in entry.items() if name not in index.axes}
        for number in places:
            found[number] = {**found[number], **added}
        if not places:
            new.append(dict(entry))
    _check_count([*found, *new])
    return [*found, *new]


class _Index:
    """Finds the cells that have all those values of an entry that are values of axes."""

    def __init__(self, cells: Sequence[Values], axes: Collection[str]) -> None:
        self.axes = axes
        self._cells = cells
        self._known: dict[tuple[str, ...], dict[tuple[object, ...], list[int]]] = {}
        self._room = _MOST_LOOKS

    def find(self, entry: Values) -> Sequence[int]:
        """Return the numbers of the cells."""
        names = tuple(sorted(name for name in entry if name in self.axes))
        if names not in self._known:
            self._known[names] = self._sorted_by(names)
        places = self._known[names].get(_key(entry, names), ())
        self._spend(len(places))
        return places

    def _sorted_by(self, names: tuple[str, ...]) -> dict[tuple[object, ...], list[int]]:
        self._spend(len(self._cells))
        places: dict[tuple[object, ...], list[int]] = {}
        for number, cell in enumerate(self._cells):
            places.setdefault(_key(cell, names), []).append(number)
        return places

    def _spend(self, looks: int) -> None:
        self._room -= looks
        if self._room < 0:
            raise _TooManyError("include and exclude change too many cells; use several sets")


def _key(values: Values, names: tuple[str, ...]) -> tuple[object, ...]:
    """Return values to compare by: 1 is 1.0, but not true."""
    return tuple(_kinds(values[name] for name in names))


def _kinds(values: Iterator[object]) -> Iterator[object]:
    for value in values:
        yield (value,) if isinstance(value, bool) else value


def _check_count(cells: Sequence[Values]) -> None:
    if len(cells) > MOST_CELLS:
        raise _TooManyError(f"this matrix has more than {MOST_CELLS:,} cells; use several sets")
