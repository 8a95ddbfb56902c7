"""Manifests as they were read: documents, and what is wrong with them.

Only plain data; reading, checking and merging happen elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A value as JSON knows it. ``Any`` because recursive aliases cost more casts than they catch bugs.
JsonValue: TypeAlias = Any
JsonObject: TypeAlias = "Mapping[str, JsonValue]"
#: Where a value stands inside a document: keys and list indexes from the top.
DocumentPath: TypeAlias = "tuple[str | int, ...]"


class Kind(StrEnum):
    """The kinds of document a manifest may hold."""

    PROJECT = "Project"
    REPO = "Repo"
    PROMPT = "Prompt"
    TARGET = "Target"
    TARGET_SET = "TargetSet"


class Severity(StrEnum):
    """Whether a problem stops the command."""

    ERROR = "error"
    WARNING = "warning"


class ResourceId(NamedTuple):
    """The address of a resource; ``name`` is empty for a repo. Sorted by all three."""

    kind: Kind
    repo: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.repo}/{self.name}" if self.name else self.repo

    def called(self, name: str) -> ResourceId:
        """Return the address of what has another name, of the same kind and in the same repo."""
        return ResourceId(self.kind, self.repo, name)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a TargetSet: the set's name as it is written, and the values of the cell."""

    set_name: str
    values: str

    def __str__(self) -> str:
        return f"[{self.values}]"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document stands, as ``Document`` says it. Holding it keeps no document in memory."""

    file: str
    index: int
    cell: Cell | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One schema-valid YAML document, its ``*_file`` references already replaced by their content.

    ``file`` is the path as shown to the user; ``index`` counts the documents of that file from 0.
    A target that was made from a ``cell`` stands where its set does.
    """

    file: str
    index: int
    kind: Kind
    value: JsonObject
    cell: Cell | None = None

    @property
    def origin(self) -> Origin:
        """Where it stands, without what it says."""
        return Origin(self.file, self.index, self.cell)

    def problem(
        self,
        path: DocumentPath,
        message: str,
        severity: Severity = Severity.ERROR,
        *,
        at_key: bool = False,
    ) -> Problem:
        """Return a problem somewhere in this document."""
        return Problem(self.file, self.index, path, message, severity, at_key, self.cell)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a document, not yet given a line and a column.

    With ``at_key`` the position meant is that of the last key of ``path``, else that of its value.
    A path whose end does not exist (a missing key, say) means its nearest existing ancestor. With a
    ``cell`` the path is that of a Target made by a set; ``declare.sets`` knows the place meant.
    """

    file: str
    index: int
    path: DocumentPath
    message: str
    severity: Severity = Severity.ERROR
    at_key: bool = False
    cell: Cell | None = None


class Diagnostic(NamedTuple):
    """A problem with its position, sorted by that; lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        prefix = "warning: " if self.severity is Severity.WARNING else ""
        return f"{self.file}:{self.line}:{self.column}: {prefix}{self.message}"
