"""Reading a project: what every verb begins with, and all that ``validate`` needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler import manifests
from reconciler.core.model.manifest import Severity
from reconciler.core.selection.scope import EVERYTHING, Scope, narrow

if TYPE_CHECKING:
    from reconciler.core.errors import InvalidManifestsError
    from reconciler.manifests import Manifests
    from reconciler.workflow.place import Place


def load(place: Place, scope: Scope = EVERYTHING) -> Manifests:
    """Read and check the manifests, then narrow them to a scope.

    Raises InvalidManifestsError with everything wrong, and UsageError for a scope that matches
    nothing.
    """
    found = manifests.load(place.manifests)
    return replace(found, desired=narrow(found.desired, scope))


def first_of(error: InvalidManifestsError) -> str:
    """Return the first thing that is wrong, with its place, and how many more there are."""
    first, *more = [it for it in error.diagnostics if it.severity is Severity.ERROR]
    return f"{first} (and {len(more):,} more)" if more else str(first)
