"""Read manifests: from a path to what they declare, or to everything that is wrong with them.

Reads below the given path only, and never writes. Problems carry file, line and column; those that
only show when all documents are seen together come from ``reconciler.core.declare``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.collector import at_rest
from reconciler.core.declare import build
from reconciler.core.errors import InvalidManifestsError
from reconciler.manifests.discovery import discover
from reconciler.manifests.loading import Loading, has_errors

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.manifest import Diagnostic

__all__ = ["Manifests", "load"]


@dataclass(frozen=True, slots=True)
class Manifests:
    """What the manifests declare. ``root`` is the directory they were read from.

    ``files`` and ``documents`` count what was read; a TargetSet is one document.
    """

    desired: Desired
    warnings: tuple[Diagnostic, ...]
    root: Path
    files: int
    documents: int


def load(path: Path) -> Manifests:
    """Read every manifest at ``path``, a directory or one file.

    Raises InvalidManifestsError with all diagnostics, warnings among them, sorted by file, line and
    column.
    """
    with at_rest():
        found = discover(path)
        loading = Loading(found)
        desired, problems = build(loading.documents, also_declared=frozenset(loading.also_declared))
        diagnostics = tuple(sorted({*loading.diagnostics, *loading.located(problems)}))
    if has_errors(diagnostics):
        raise InvalidManifestsError(diagnostics)
    documents = {(document.file, document.index) for document in loading.documents}
    return Manifests(desired, diagnostics, found.root, len(found.sources), len(documents))
