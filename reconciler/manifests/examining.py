"""Find the mistakes of manifests, with their positions; what is good beside them is kept.

For this a manifest is read once more, by the reader that knows where things stand. Reads no
manifest from disk: texts are handed in.
"""

from __future__ import annotations

import re
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from reconciler.core.declare.sets import told
from reconciler.core.model.manifest import Diagnostic, Document, Kind, ResourceId
from reconciler.manifests import checking, explaining, reader
from reconciler.manifests.inclusion import FILE_KEYS
from reconciler.manifests.syntax import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.core.model.manifest import DocumentPath, JsonValue, Problem
    from reconciler.core.schema.explaining import SchemaProblem
    from reconciler.manifests.discovery import Source
    from reconciler.manifests.expansion import Expander
    from reconciler.manifests.inclusion import FileStore
    from reconciler.manifests.reader import YamlDocument

_SEPARATOR = r"(?m)^---"
_KIND = r"\bkind:[ ]{0,9}[\"']?(\w{1,40})"
_REPO = r"\brepo:[ ]{0,9}[\"']?([\w.-]{1,128})"
_NAME = r"\bname:[ ]{0,9}[\"']?([\w.-]{1,128})"
_FILE = attrgetter("file")


class Examination:
    """What is good of a manifest, and everything that is wrong with the rest."""

    def __init__(self, source: Source, text: str, files: FileStore, sets: Expander) -> None:
        self.documents: list[Document] = []
        #: The addresses of what is not good.
        self.also_declared: set[ResourceId] = set()
        self.diagnostics: list[Diagnostic] = []
        self._source = source
        self._files = files
        self._sets = sets
        found = reader.read(text)
        if found.stopped:
            self._note(found.stopped)
            self.also_declared.update(mentioned(text))
        for index, document in enumerate(found.documents):
            self._take(index, document)

    def _take(self, index: int, document: YamlDocument) -> None:
        problems = explaining.check(document)
        kind = checking.kind_of(document.value)
        if kind is Kind.TARGET_SET and not problems and not document.faults:
            self._take_set(index, document)
        elif kind:
            included = self._files.include(self._source, kind, document.value)
            problems += included.problems
            self.diagnostics += included.diagnostics
            if not problems and not included.diagnostics and not document.faults:
                self.documents.append(Document(self._source.shown, index, kind, included.value))
                return
            self.also_declared.update(_identity(kind, document.value))
        self._note(*document.faults, *_positioned(problems, document))

    def _take_set(self, index: int, document: YamlDocument) -> None:
        examined = self._sets.examined(self._source, index, document)
        self.documents += examined.good
        for doc in examined.bad:
            self.also_declared.update(_identity(doc.kind, doc.value))
        self.diagnostics += examined.diagnostics
        self.diagnostics += [_located(it, document) for it in told(examined.problems)]

    def _note(self, *faults: Fault) -> None:
        self.diagnostics.extend(fault.within(self._source.shown) for fault in faults)


def located(problems: Iterable[Problem], texts: Mapping[str, str]) -> Iterator[Diagnostic]:
    """Yield problems of documents that are good by themselves, with their positions.

    They come file by file; ``texts`` has those of the files, by the names they are shown under.
    """
    for file, found in groupby(sorted(told(problems), key=_FILE), _FILE):
        documents = reader.read(texts[file]).documents
        for problem in found:
            yield _located(problem, documents[problem.index])


def mentioned(text: str) -> Iterator[ResourceId]:
    """Guess what a text that cannot be parsed declares, so that references to it are not blamed."""
    for part in re.split(_SEPARATOR, text):
        kind, repo = re.search(_KIND, part), re.search(_REPO, part)
        name = re.search(_NAME, part.partition("metadata:")[2][:500])
        metadata = {"repo": repo and repo[1], "name": name and name[1]}
        meant = checking.kind_of({"kind": kind and kind[1]})
        if meant:
            yield from _identity(meant, {"metadata": metadata})


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
