"""From files to schema-valid documents, collecting every problem on the way.

Most files are flawless, and are read without a thought for positions. Any other is read once more
from memory, to say where its mistakes are: at once, or when a document turns out wrong later, seen
together with the others.
"""

from __future__ import annotations

import re
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from reconciler.core.declare.sets import told
from reconciler.core.model.manifest import (
    Diagnostic,
    Document,
    Kind,
    Problem,
    ResourceId,
    Severity,
)
from reconciler.core.names import Comparisons
from reconciler.manifests import checking, files, ordinary, reader
from reconciler.manifests.discovery import IGNORE_FILE
from reconciler.manifests.expansion import Expander
from reconciler.manifests.inclusion import FILE_KEYS, FileStore
from reconciler.manifests.syntax import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.core.model.manifest import DocumentPath, JsonObject, JsonValue
    from reconciler.core.schema.checking import SchemaProblem
    from reconciler.manifests.discovery import Found, Source
    from reconciler.manifests.reader import YamlDocument

_SEPARATOR = re.compile(r"^---", re.MULTILINE)
_KIND = re.compile(r"\bkind:[ ]{0,9}[\"']?(\w{1,40})")
_REPO = re.compile(r"\brepo:[ ]{0,9}[\"']?([\w.-]{1,128})")
_NAME = re.compile(r"\bname:[ ]{0,9}[\"']?([\w.-]{1,128})")
_FILE = attrgetter("file")

_ONLY_COMMENTS = "no manifest found; there is nothing but comments"
_NO_SOURCES = (
    "no manifest found; looked for *.yaml and *.yml in this directory and below it, "
    f"leaving out what is hidden or listed in {IGNORE_FILE}"
)


class Loading:
    """The documents that were found, those that failed, and why."""

    def __init__(self, found: Found) -> None:
        self.documents: list[Document] = []
        self.also_declared: set[ResourceId] = set()
        self.diagnostics: list[Diagnostic] = list(found.diagnostics)
        self._texts: dict[str, str] = {}
        self._files = FileStore(found.root)
        self._sets = Expander(self._files)
        for source in found.sources:
            self._load(source)
        if not self.documents and not has_errors(self.diagnostics):
            message = _ONLY_COMMENTS if found.sources else _NO_SOURCES
            self.diagnostics.append(Diagnostic(found.shown, 1, 1, message))

    def located(self, problems: Iterable[Problem]) -> Iterator[Diagnostic]:
        """Yield problems of documents that were good by themselves, with their positions.

        They come file by file: to find positions, the text of a file is read again.
        """
        for file, found in groupby(sorted(problems, key=_FILE), _FILE):
            documents = reader.read(self._texts[file]).documents
            for problem in found:
                yield _located(problem, documents[problem.index])

    def _load(self, source: Source) -> None:
        text = self._text(source)
        if text is None:
            return
        self._texts[source.shown] = text
        room = self._sets.room
        flawless = self._flawless(source, text)
        if flawless:
            self.documents += flawless
        else:
            self._sets.room = room
            self._examine(source, text)

    def _flawless(self, source: Source, text: str) -> list[Document]:
        """Return the documents of a manifest, or none of them where anything may be wrong."""
        documents = []
        for index, value in enumerate(ordinary.read(text)):
            kind = checking.kind_of_valid(value)
            made = self._made(source, index, kind, value) if kind else []
            if not made:
                return []
            documents += made
        return documents

    def _made(self, source: Source, index: int, kind: Kind, value: JsonObject) -> list[Document]:
        """Return what a valid document stands for, or nothing where anything may be wrong."""
        if kind is Kind.TARGET_SET:
            return self._sets.flawless(source, index, value)
        included = self._files.include(source, kind, value)
        if included.problems or included.diagnostics:
            return []
        return [Document(source.shown, index, kind, included.value)]

    def _examine(self, source: Source, text: str) -> None:
        """Take what is good of a manifest, and note everything that is wrong with the rest."""
        found = reader.read(text)
        if found.stopped:
            self.diagnostics.append(found.stopped.within(source.shown))
            self.also_declared.update(_mentioned(text))
        for index, document in enumerate(found.documents):
            self._take(source, index, document)

    def _text(self, source: Source) -> str | None:
        """Return the text of a manifest; what is wrong with it as a text is noted here."""
        try:
            data = files.read_bytes(source.path)
        except files.UnreadableError as error:
            self._note(source, Fault(1, 1, _unreadable(source, error)))
            return None
        text = files.decode(data)
        if isinstance(text, Fault):
            self._note(source, text)
            self.also_declared.update(_mentioned(data.decode(errors="replace")))
            return None
        if not text.strip():
            self._note(source, Fault(1, 1, "this file is empty; write a manifest or delete it"))
        return text

    def _take(self, source: Source, index: int, document: YamlDocument) -> None:
        problems = checking.check(document)
        kind = checking.kind_of(document.value)
        if kind is Kind.TARGET_SET and not problems and not document.faults:
            self._take_set(source, index, document)
        elif kind:
            included = self._files.include(source, kind, document.value)
            problems += included.problems
            self.diagnostics += included.diagnostics
            if not problems and not included.diagnostics and not document.faults:
                self.documents.append(Document(source.shown, index, kind, included.value))
                return
            self.also_declared.update(_identity(kind, document.value))
        self._note(source, *document.faults, *_positioned(problems, document))

    def _take_set(self, source: Source, index: int, document: YamlDocument) -> None:
        examined = self._sets.examined(source, index, document)
        self.documents += examined.good
        for doc in examined.bad:
            self.also_declared.update(_identity(doc.kind, doc.value))
        self.diagnostics += examined.diagnostics
        self.diagnostics += [_located(problem, document) for problem in told(examined.problems)]

    def _note(self, source: Source, *faults: Fault) -> None:
        self.diagnostics.extend(fault.within(source.shown) for fault in faults)


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Tell whether anything is worse than a warning."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)


def _located(problem: Problem, document: YamlDocument) -> Diagnostic:
    path = _as_written(document, problem.path)
    line, column = document.position(path, at_key=problem.at_key)
    return Diagnostic(problem.file, line, column, problem.message, problem.severity)


def _positioned(problems: Iterable[SchemaProblem], document: YamlDocument) -> Iterator[Fault]:
    for problem in problems:
        yield Fault(*document.position(problem.path, at_key=problem.at_key), problem.message)


def _as_written(document: YamlDocument, path: DocumentPath) -> DocumentPath:
    """Return a path as it is in the manifest: what came from a file stands where that is named."""
    for length, step in enumerate(path):
        if document.find(path[: length + 1]) is None:
            return (*path[:length], FILE_KEYS.get(str(step), step))
    return path


def _identity(kind: Kind, value: JsonValue) -> Iterator[ResourceId]:
    """Yield the address of a document that is not valid, if it has one."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return
    name, repo = metadata.get("name"), metadata.get("repo")
    if not isinstance(name, str):
        return
    if kind is Kind.TARGET_SET:  # what it makes has names of its own
        return
    if kind in (Kind.PROJECT, Kind.REPO):
        yield ResourceId(kind, name)
    elif isinstance(repo, str):
        yield ResourceId(kind, repo, name)


def _mentioned(text: str) -> Iterator[ResourceId]:
    """Guess what a text that cannot be parsed declares, so that references to it are not blamed."""
    for part in _SEPARATOR.split(text):
        kind, repo = _KIND.search(part), _REPO.search(part)
        name = _NAME.search(part.partition("metadata:")[2][:500])
        metadata = {"repo": repo and repo[1], "name": name and name[1]}
        meant = checking.kind_of({"kind": kind and kind[1]})
        if meant:
            yield from _identity(meant, {"metadata": metadata})


def _unreadable(source: Source, error: files.UnreadableError) -> str:
    if isinstance(error, files.MissingError):
        return (
            f"there is no such file or directory{files.suggest_beside(source.path, Comparisons())}"
        )
    return f"this {error}"
