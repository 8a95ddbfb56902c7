"""Tell whether a document fits the manifest schema.

Only values are looked at here; files and other documents are not, and nothing is explained.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from reconciler import schema_files
from reconciler.core.model.manifest import Kind
from reconciler.core.names import nearest
from reconciler.core.schema.checking import Checker

if TYPE_CHECKING:
    from reconciler.core.model.manifest import JsonValue

_KINDS = {kind.value: kind for kind in Kind}


@cache
def checker(definition: str) -> Checker:
    """Return the checker for a definition of the manifest schema."""
    return Checker(schema_files.load("manifest"), definition)


def kind_of(value: JsonValue) -> Kind | None:
    """Return the kind a document says it is, or the one it most likely means."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return None
    return _KINDS.get(kind) or _KINDS.get(nearest(kind, _KINDS) or "")


def kind_of_valid(value: JsonValue) -> Kind | None:
    """Return the kind of a document in which the schema finds nothing wrong."""
    if is_regular(value) and checker(value["kind"]).is_valid(value):
        return _KINDS[value["kind"]]
    return None


def is_regular(value: JsonValue) -> bool:
    """Tell whether a document is of a kind and a format that are known."""
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        return False
    return value["kind"] in _KINDS and value.get("apiVersion", api_version()) == api_version()


@cache
def api_version() -> Any:
    """Return the only format of manifests there is."""
    return schema_files.load("manifest")["$defs"]["apiVersion"]["const"]
