"""Check values against a JSON Schema.

``jsonschema_rs`` decides, in microseconds; only what it refuses is taken apart and explained. It
reads no files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model.manifest import JsonObject, JsonValue
    from reconciler.core.schema.explaining import Contrast, SchemaProblem

#: Where the definitions of a schema are.
_PLACE = "#/$defs/"


class Checker:
    """A compiled schema, or one definition of it."""

    def __init__(self, schema: JsonObject, definition: str = "") -> None:
        self._schema = _definition(schema, definition) if definition else dict(schema)
        self._fast = jsonschema_rs.Draft202012Validator(self._schema)

    def problems(self, value: JsonValue, contrast: Contrast | None = None) -> list[SchemaProblem]:
        """Return everything that is wrong with a value, as ``explain`` does."""
        if self.is_valid(value):
            return []
        from reconciler.core.schema.explaining import explain  # slow, and rarely needed

        return explain(self._schema, value, contrast)

    def is_valid(self, value: JsonValue) -> bool:
        """Tell whether nothing is wrong with a value."""
        try:
            return self._fast.is_valid(value)
        except ValueError:  # a value that JSON cannot hold
            return False

    def failing(self, value: JsonValue) -> frozenset[str]:
        """Return which rules a value fails, and where: quick, to know a mistake again."""
        try:
            errors = list(self._fast.iter_errors(value))
        except ValueError:  # a value that JSON cannot hold
            return frozenset(["json"])
        return frozenset(f"{error.instance_path} {error.schema_path}" for error in errors)


def _definition(schema: JsonObject, name: str) -> dict[str, Any]:
    """Return a definition as a schema of its own, with those alone that it refers to."""
    known, needed = schema["$defs"], dict[str, Any]()
    waiting = [name]
    while waiting:
        wanted = waiting.pop()
        if wanted not in needed:
            needed[wanted] = known[wanted]
            waiting += _references(known[wanted])
    return {"$ref": _PLACE + name, "$defs": needed}


def _references(part: JsonValue) -> Iterator[str]:
    """Yield the names of the definitions that a part of a schema refers to, or into."""
    if isinstance(part, dict):
        if isinstance(meant := part.get("$ref"), str):
            yield meant.removeprefix(_PLACE).partition("/")[0]
        part = part.values()
    elif not isinstance(part, list):
        return
    for inner in part:
        yield from _references(inner)
