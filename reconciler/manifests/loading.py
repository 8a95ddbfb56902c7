"""From files to schema-valid documents, collecting every problem on the way.

Most files are flawless, and are read without a thought for positions. Any other is examined from
memory: at once, or when a document turns out wrong later, seen together with the others.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from reconciler.core.model.manifest import Diagnostic, Document, Kind, ResourceId, Severity
from reconciler.core.names import Comparisons
from reconciler.manifests import checking, files, ordinary
from reconciler.manifests.discovery import IGNORE_FILE
from reconciler.manifests.inclusion import FileStore
from reconciler.manifests.syntax import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.core.model.manifest import JsonObject, Problem
    from reconciler.manifests.discovery import Found, Source
    from reconciler.manifests.expansion import Expander

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
        for source in found.sources:
            self._load(source)
        if not self.documents and not has_errors(self.diagnostics):
            message = _ONLY_COMMENTS if found.sources else _NO_SOURCES
            self.diagnostics.append(Diagnostic(found.shown, 1, 1, message))

    def located(self, problems: Sequence[Problem]) -> Iterable[Diagnostic]:
        """Return problems of documents that were good by themselves, with their positions."""
        if not problems:
            return ()
        from reconciler.manifests import examining

        return examining.located(problems, self._texts)

    @cached_property
    def _sets(self) -> Expander:
        from reconciler.manifests.expansion import Expander

        return Expander(self._files)

    def _load(self, source: Source) -> None:
        text = self._text(source)
        if text is None:
            return
        self._texts[source.shown] = text
        flawless = self._flawless(source, text)
        if flawless:
            self.documents += flawless
        else:
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
        from reconciler.manifests.examining import Examination

        self._sets.forget(source)
        found = Examination(source, text, self._files, self._sets)
        self.documents += found.documents
        self.also_declared |= found.also_declared
        self.diagnostics += found.diagnostics

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
            self._guess(data.decode(errors="replace"))
            return None
        if not text.strip():
            self._note(source, Fault(1, 1, "this file is empty; write a manifest or delete it"))
        return text

    def _guess(self, text: str) -> None:
        from reconciler.manifests.examining import mentioned

        self.also_declared.update(mentioned(text))

    def _note(self, source: Source, fault: Fault) -> None:
        self.diagnostics.append(fault.within(source.shown))


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Tell whether anything is worse than a warning."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)


def _unreadable(source: Source, error: files.UnreadableError) -> str:
    if isinstance(error, files.MissingError):
        return (
            f"there is no such file or directory{files.suggest_beside(source.path, Comparisons())}"
        )
    return f"this {error}"
