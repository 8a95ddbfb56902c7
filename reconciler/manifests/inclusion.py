"""Put the content of files in the place of the keys that name them: ``content_file`` → ``content``.

A file is relative to its manifest, lies inside the directory that holds the manifests (links
resolved), and is read once however many manifests name it. Nothing outside is opened, and the
values that are handed in are never changed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from reconciler.core.model.manifest import Kind
from reconciler.core.names import Comparisons
from reconciler.core.schema.wording import quoted
from reconciler.manifests import files
from reconciler.manifests.syntax import Broken, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.core.model.manifest import (
        Diagnostic,
        DocumentPath,
        JsonObject,
        JsonValue,
    )
    from reconciler.core.schema.explaining import SchemaProblem
    from reconciler.manifests.discovery import Source

_LONGEST_NAME = 4096


_Reading: TypeAlias = "Callable[[str, str], JsonValue | Broken]"


class _FileKey(NamedTuple):
    """A key that names a file: the key that takes its content, and how the text is read."""

    content_key: str
    reading: _Reading


@dataclass(slots=True)
class Included:
    """A document with its files in place, and what was wrong with their names or their content."""

    value: JsonValue = None
    problems: list[SchemaProblem] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


class FileStore:
    """The files that manifests below one directory name; each is read once."""

    def __init__(self, root: Path) -> None:
        #: Everything lies inside of this, links resolved.
        self.root = os.path.realpath(root)
        self._contents: dict[tuple[str, _Reading], JsonValue | Broken] = {}
        #: What to suggest instead of a file that is not there.
        self._missing: dict[str, str] = {}
        self._comparisons = Comparisons()

    def include(self, source: Source, kind: Kind, value: JsonObject) -> Included:
        """Return a document of a manifest with the content of all its files in place."""
        document = _Document(self, source)
        document.found.value = document.fill(value, _PLACES[kind], ())
        return document.found

    def content(self, source: Source, name: str, reading: _Reading) -> JsonValue | Broken:
        """Return what a file says; raises UnreadableError if it has nothing to say here."""
        path = self._resolved(source, name)
        known = self._contents.get((path, reading))
        if known is None:
            text = files.decode(self._bytes(path))
            known = Broken((text,)) if isinstance(text, Fault) else reading(text, path)
            self._contents[path, reading] = known
        return known

    def _resolved(self, source: Source, name: str) -> str:
        if name.startswith("/"):
            raise files.UnreadableError("must be relative to this manifest")
        if "\0" in name or len(name) > _LONGEST_NAME:
            raise files.UnreadableError("has a name that no file can have")
        path = os.path.realpath(Path(source.path).parent / name)
        if not files.is_inside(path, self.root):
            raise files.UnreadableError("leads out of the directory that holds the manifests")
        return path

    def _bytes(self, path: str) -> bytes:
        try:
            return files.read_bytes(path)
        except files.MissingError as error:
            if path not in self._missing:
                self._missing[path] = files.suggest_beside(path, self._comparisons)
            raise files.MissingError(f"{error}{self._missing[path]}") from error


class _Document:
    """Fills the files of one document in."""

    def __init__(self, store: FileStore, source: Source) -> None:
        self.found = Included()
        self._store = store
        self._source = source

    def fill(self, value: JsonValue, place: Any, path: DocumentPath) -> JsonValue:
        """Return a copy of a value in which file keys have given way to content."""
        if isinstance(place, list) and isinstance(value, list):
            return [self.fill(item, place[0], (*path, i)) for i, item in enumerate(value)]
        if not isinstance(place, dict) or not isinstance(value, dict):
            return value
        filled = dict(value)
        for key, inner in place.items():
            if key not in value:
                continue
            if not isinstance(inner, _FileKey):
                filled[key] = self.fill(value[key], inner, (*path, key))
                continue
            name = filled.pop(key)
            if isinstance(name, str) and name:
                filled[inner.content_key] = self._content(name, inner.reading, (*path, key))
        return filled

    def _content(self, name: str, reading: _Reading, path: DocumentPath) -> JsonValue:
        try:
            content = self._store.content(self._source, name, reading)
        except files.UnreadableError as error:
            self._note(path, f"{quoted(name)} {error}")
            return None
        if not isinstance(content, Broken):
            return content
        shown = os.path.normpath(Path(self._source.shown).parent / name)
        self.found.diagnostics.extend(fault.within(shown) for fault in content.faults)
        return None

    def _note(self, path: DocumentPath, message: str) -> None:
        from reconciler.core.schema.explaining import SchemaProblem

        self.found.problems.append(SchemaProblem(path, message))


def _text(text: str, _: str) -> str:
    """Keep a text as it is, but for the one line break that editors put at the end."""
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _questions(text: str, path: str) -> JsonValue | Broken:
    if path.endswith(".json"):
        return _list("questionList", text, path)
    questions = [question for line in text.split("\n") if (question := line.strip())]
    return questions or Broken((Fault(1, 1, "this file holds no question"),))


def _list(definition: str, text: str, path: str) -> JsonValue | Broken:
    from reconciler.manifests import lists

    return lists.read(definition, text, path)


_PROMPT_SPEC = {
    "messages": [{"content_file": _FileKey("content", _text)}],
    "messages_file": _FileKey("messages", partial(_list, "messageList")),
    "tools_file": _FileKey("tools", partial(_list, "tools")),
}
_TARGET_SPEC = {
    "generators": [
        {
            "questions_file": _FileKey("questions", _questions),
            "template_file": _FileKey("template_content", _text),
        }
    ]
}
#: Where file keys may stand in a document of each kind.
_PLACES: Mapping[Kind, Any] = {
    Kind.PROJECT: {"spec": {"defaults": {"spec": _TARGET_SPEC}}},
    Kind.REPO: {},
    Kind.PROMPT: {"spec": _PROMPT_SPEC},
    Kind.TARGET: {"spec": _TARGET_SPEC},
    Kind.TARGET_SET: {},
}
#: The key that names a file, for each key that its content is put under.
FILE_KEYS: Mapping[str, str] = {
    "content": "content_file",
    "messages": "messages_file",
    "questions": "questions_file",
    "template_content": "template_file",
    "tools": "tools_file",
}
