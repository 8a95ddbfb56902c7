"""TargetSet documents → the Target documents they stand for, one for each cell of the matrix.

Pure, like all declaring: files are found and read elsewhere. Everything after this sees ordinary
targets; only what is wrong with one is told at its place in the set, and once for all its cells.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from reconciler.core.declare.cells import cells
from reconciler.core.model.manifest import Cell, Document, Kind
from reconciler.core.names import Comparisons
from reconciler.core.schema.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.core.declare.cells import Values
    from reconciler.core.model.manifest import DocumentPath, JsonObject, JsonValue, Problem

#: The most values that the targets of all sets hold together; each takes hundreds of bytes.
MOST_VALUES = 5_000_000
#: What a cell counts for beside the values of its target, and an expression beside its text.
_CELL, _USE = 20, 4
_OPENING = "${{"
_EXPRESSION = re.compile(r"\$\{\{(.*?)(\}\}|\Z)", re.DOTALL)
_MATRIX = re.compile(r"\s*matrix\.([A-Za-z_][A-Za-z0-9_-]*(?:\.path)?)\s*")
_PLAIN = re.compile(r"[\w./:@+-]{1,60}", re.ASCII)
#: What differs between the sentences about one mistake in several cells.
_DETAIL = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\S+/\S+|\S+(?: → \S+)+|[\d.]+')
_LONGEST_SHOWN = 200
_UNBOUNDED = f"the targets of all sets would hold more than {MOST_VALUES:,} values"

#: Makes the value of a cell; a part of a template that is no function is the same in all cells.
_Part: TypeAlias = "Callable[[Values], JsonValue]"


@dataclass(slots=True)
class Expansion:
    """What a set stands for, what is wrong with it, and how much of MOST_VALUES it takes."""

    documents: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    size: int = 0


def expand(
    doc: Document, files: Mapping[str, Sequence[Values]], room: int = MOST_VALUES
) -> Expansion:
    """Return the targets of a set that fits the schema; they are yet to be checked themselves.

    ``files`` holds the values of every axis that is given by a pattern of files; ``room`` is how
    much the set may take.
    """
    found = Expansion()
    template = _Template(doc)
    found.problems += template.problems
    made = cells(doc, files, found.problems)
    found.size = len(made) * (template.size + _CELL)
    if found.size > room:
        found.problems.append(doc.problem(("template",), _UNBOUNDED, at_key=True))
    else:
        _fill(template, made, found)
    return found


def _fill(template: _Template, made: Sequence[Values], found: Expansion) -> None:
    doc, known = template.document, frozenset(name for cell in made for name in cell)
    lacking: dict[str, list[Document]] = {name: [] for _, name in template.uses}
    for values in made:
        cell = Cell(doc.value["metadata"]["name"], _shown(values))
        target = Document(doc.file, doc.index, Kind.TARGET, {}, cell)
        missing = [name for name in lacking if name not in values]
        for name in missing:
            lacking[name].append(target)
        if not missing and not template.problems:
            found.documents.append(replace(target, value=template.fill(values)))
    comparisons = Comparisons()
    for path, name in template.uses:
        if lacking[name]:
            text = _without_value(name, known, comparisons)
            problem = lacking[name][0].problem(path, text)
            found.problems.append(_told_once(problem, len(lacking[name]) - 1))


def told(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems at their places in the manifests; what many cells share is told once."""
    found: list[Problem] = []
    shared: dict[Any, list[Problem]] = {}
    seen: Counter[Any] = Counter()
    for problem in problems:
        if problem.cell is None:
            found.append(problem)
            continue
        place = (problem.file, problem.index, problem.path, problem.at_key, problem.severity)
        about = (place, _DETAIL.sub("", problem.message))
        turn = (id(problem.cell), about)
        shared.setdefault((about, seen[turn]), []).append(problem)
        seen[turn] += 1
    return [*found, *(_told_once(same[0], len(same) - 1) for same in shared.values())]


def _told_once(first: Problem, more: int) -> Problem:
    others = f", and in {more:,} more {'cell' if more == 1 else 'cells'}" if more else ""
    text = f"{first.message} {first.cell}{others}"
    return replace(first, path=place_in_set(first.path), message=text, cell=None)


def place_in_set(path: DocumentPath) -> DocumentPath:
    """Return where a set has what stands at a path of its targets."""
    if path[:2] == ("metadata", "labels"):
        return ("template", *path[1:])
    return ("template", *path) if path[:1] not in ((), ("metadata",)) else path


class _Template:
    """The targets of a set as one value with gaps."""

    def __init__(self, doc: Document) -> None:
        self.document = doc
        self.problems: list[Problem] = []
        #: Where which name of the matrix is used; the paths are those of a target.
        self.uses: list[tuple[DocumentPath, str]] = []
        self.size = 0
        self._part = self._compiled(_target(doc.value), ())

    def fill(self, values: Values) -> JsonObject:
        """Return the target of a cell that has all the values that are used."""
        filled: JsonObject = self._part(values) if callable(self._part) else self._part
        return filled

    def _compiled(self, value: JsonValue, path: DocumentPath) -> JsonValue | _Part:
        self.size += 1
        if isinstance(value, str):
            return self._text(value, path) if _OPENING in value else value
        if isinstance(value, dict):
            self._check_keys(value, path)
            made = {key: self._compiled(item, (*path, key)) for key, item in value.items()}
            return _mapping(made) if any(map(callable, made.values())) else value
        if isinstance(value, list):
            parts = [self._compiled(item, (*path, i)) for i, item in enumerate(value)]
            return _list(parts) if any(map(callable, parts)) else value
        return value

    def _check_keys(self, value: JsonObject, path: DocumentPath) -> None:
        for key in value:
            if _OPENING in key:
                text = "an expression cannot be a key, only a value"
                where = place_in_set((*path, key))
                self.problems.append(self.document.problem(where, text, at_key=True))

    def _text(self, text: str, path: DocumentPath) -> _Part:
        """Return what makes a text with expressions; metadata is text, whatever is put there."""
        self.size += len(text) // 100
        pieces: list[str] = []
        names: list[str] = []
        end = 0
        for found in _EXPRESSION.finditer(text):
            pieces.append(text[end : found.start()])
            names.append(self._name(found, path))
            end = found.end()
        pieces.append(text[end:])
        if pieces == ["", ""] and path[0] != "metadata":
            return _whole(names[0])
        return _joined(pieces, names)

    def _name(self, found: re.Match[str], path: DocumentPath) -> str:
        self.size += _USE
        meant = _MATRIX.fullmatch(found[1])
        if meant and found[2]:
            self.uses.append((path, meant[1]))
            return meant[1]
        text = f"only ${{{{ matrix.NAME }}}} can be used here, not {quoted(found[0])}"
        if not found[2]:
            text = f'a "}}}}" is missing after {quoted(found[0])}'
        self.problems.append(self.document.problem(place_in_set(path), text))
        return ""


def _target(value: JsonObject) -> JsonObject:
    """Return the target that a set describes, expressions and all."""
    template = dict(value["template"])
    labels = {"labels": template.pop("labels")} if "labels" in template else {}
    return {
        "apiVersion": value["apiVersion"],
        "kind": str(Kind.TARGET),
        "metadata": {**value["metadata"], **labels},
        **template,
    }


def _mapping(parts: Mapping[str, JsonValue | _Part]) -> _Part:
    return lambda values: {
        key: part(values) if callable(part) else part for key, part in parts.items()
    }


def _list(parts: Sequence[JsonValue | _Part]) -> _Part:
    return lambda values: [part(values) if callable(part) else part for part in parts]


def _whole(name: str) -> _Part:
    return lambda values: values[name]


def _joined(pieces: Sequence[str], names: Sequence[str]) -> _Part:
    def join(values: Values) -> str:
        filled = (_as_text(values[name]) for name in names)
        return pieces[0] + "".join(a + b for a, b in zip(filled, pieces[1:], strict=True))

    return join


def _as_text(value: str | float | bool) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _without_value(name: str, known: frozenset[str], comparisons: Comparisons) -> str:
    if name in known:
        return f"matrix.{name} has no value here"
    return f"there is no matrix.{name}{comparisons.suggest(name, known)}"


def _shown(values: Values) -> str:
    told = [
        f"{name}={_short(values.get(f'{name}.path', value))}"  # which of the files called so
        for name, value in values.items()
        if "." not in name
    ]
    text = ", ".join(told)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _short(value: str | float | bool) -> str:
    text = _as_text(value)
    return text if _PLAIN.fullmatch(text) or not isinstance(value, str) else quoted(text)
