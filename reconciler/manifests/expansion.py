"""Read a TargetSet: find the files of its axes, and check every target that it stands for.

What a set means is said in ``reconciler.core.declare.sets``; here it meets files and the schema.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from reconciler.core.declare import sets
from reconciler.core.model.manifest import Document, Kind
from reconciler.core.schema.wording import quoted, show_instead
from reconciler.manifests import checking, explaining, files, patterns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.core.declare.cells import Values
    from reconciler.core.model.manifest import (
        Diagnostic,
        DocumentPath,
        JsonObject,
        JsonValue,
        Problem,
    )
    from reconciler.core.schema.explaining import Contrast, SchemaProblem
    from reconciler.manifests.discovery import Source
    from reconciler.manifests.inclusion import FileStore
    from reconciler.manifests.reader import YamlDocument


@dataclass(slots=True)
class Examined:
    """The targets of a set that are good, those that are not, and what is wrong."""

    good: list[Document] = field(default_factory=list)
    bad: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


class Expander:
    """Expands the sets of one directory of manifests, which share a bound on what they make."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        #: How much the sets to come may hold, and what those of each manifest do.
        self._room = sets.MOST_VALUES
        self._held: Counter[str] = Counter()

    def forget(self, source: Source) -> None:
        """Make room again for the sets of a manifest, which is read once more."""
        self._room += self._held.pop(source.path, 0)

    def flawless(self, source: Source, index: int, value: JsonObject) -> list[Document]:
        """Return the targets of a set, or none of them where anything may be wrong."""
        expansion = self._expanded(source, index, value)
        made = [] if expansion.problems else expansion.documents
        target, good = checking.checker(Kind.TARGET), []
        for doc in made:
            if not target.is_valid(doc.value):
                break
            included = self._store.include(source, doc.kind, doc.value)
            if included.problems or included.diagnostics:
                break
            good.append(replace(doc, value=included.value))
        return good if len(good) == len(made) else []

    def examined(self, source: Source, index: int, document: YamlDocument) -> Examined:
        """Return everything there is to know about a set that fits the schema."""
        expansion = self._expanded(source, index, document.value)
        found = Examined(problems=expansion.problems)
        explainer = _Explainer(_contrast(document))
        for doc in expansion.documents:
            self._examine(source, doc, explainer, found)
        return found

    def _examine(
        self, source: Source, doc: Document, explainer: _Explainer, found: Examined
    ) -> None:
        included = self._store.include(source, doc.kind, doc.value)
        problems = explainer.problems(doc.value) + included.problems
        found.problems += [doc.problem(it.path, it.message, at_key=it.at_key) for it in problems]
        found.diagnostics += included.diagnostics
        good = not problems and not included.diagnostics
        (found.good if good else found.bad).append(replace(doc, value=included.value))

    def _expanded(self, source: Source, index: int, value: JsonObject) -> sets.Expansion:
        doc = Document(source.shown, index, Kind.TARGET_SET, value)
        problems: list[Problem] = []
        found = self._files(source, doc, problems)
        if problems:
            return sets.Expansion(problems=problems)
        expansion = sets.expand(doc, found, self._room)
        if expansion.documents:
            self._room -= expansion.size
            self._held[source.path] += expansion.size
        return expansion

    def _files(
        self, source: Source, doc: Document, problems: list[Problem]
    ) -> dict[str, list[Values]]:
        """Return the values of the axes that are given by a pattern."""
        folder = str(Path(source.path).parent)
        given: dict[str, list[Values]] = {}
        for name, axis in doc.value["matrix"].items():
            if not isinstance(axis, dict):
                continue
            try:
                paths = patterns.find(folder, axis["files"], self._store.root)
            except files.UnreadableError as error:
                path = ("matrix", name, "files")
                problems.append(doc.problem(path, f"{quoted(axis['files'])} {error}"))
            else:
                given[name] = _values(name, paths)
        return given


class _Explainer:
    """Explains what is wrong with targets; a mistake like one before is not thought over again."""

    def __init__(self, contrast: Contrast) -> None:
        self._contrast = contrast
        self._checker = checking.checker(Kind.TARGET)
        self._known: dict[frozenset[str], list[SchemaProblem]] = {}

    def problems(self, value: JsonObject) -> list[SchemaProblem]:
        """Return what is wrong with a target, perhaps in the words for another one."""
        failing = self._checker.failing(value)
        if failing and failing not in self._known:
            self._known[failing] = self._checker.problems(value, self._contrast)
        return self._known[failing] if failing else []


def _values(name: str, paths: Sequence[str]) -> list[Values]:
    return [
        {name: PurePosixPath(path).stem, f"{name}.path": os.path.normpath(path)} for path in paths
    ]


def _contrast(document: YamlDocument) -> Contrast:
    """Return the end of a sentence about a value: the author's word only if it is no expression."""
    as_written = explaining.contrast(document)

    def end(path: DocumentPath, value: JsonValue, schema: JsonObject) -> str:
        where = sets.place_in_set(path)
        scalar = document.scalar(where)
        told = show_instead if scalar is None or "${{" in scalar.value else as_written
        return told(where, value, schema)

    return end
