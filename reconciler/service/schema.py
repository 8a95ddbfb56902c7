"""Validates values against the definitions of ``schemas/api.v1.json``.

A fast validator decides; why a value does not fit is worked out only then. Never changes a value.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from reconciler.service.problems import invalid

if TYPE_CHECKING:
    from reconciler.service.problems import Fault

_PACKAGE = Path(__file__).parents[1]


def check(definition: str, value: object) -> dict[str, Any]:
    """Return the value if it fits an object definition of the schema; raises a 422 otherwise."""
    if not fits(definition, value) or not isinstance(value, dict):
        raise invalid(faults(definition, value))
    return value


def fits(definition: str, value: object) -> bool:
    """Say whether a value fits a definition of the schema."""
    return _validator(definition).is_valid(value)


def faults(definition: str, value: object) -> list[Fault]:
    """Return what is wrong with a value that does not fit a definition of the schema."""
    from reconciler.service.explain import explain

    return explain(_schema(definition), value)


@cache
def definitions() -> dict[str, Any]:
    """Return all definitions by name, to be shared and not changed."""
    found: dict[str, Any] = load("api.v1.json")["$defs"]
    return found


def load(file: str) -> dict[str, Any]:
    """Return a JSON Schema of the project, from a checkout or from the wheel."""
    packaged = _PACKAGE / "schemas"
    folder = packaged if packaged.is_dir() else _PACKAGE.parent / "schemas"
    schema: dict[str, Any] = json.loads((folder / file).read_bytes())
    return schema


def _schema(definition: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{definition}", "$defs": definitions()}


@cache
def _validator(definition: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(_schema(definition))
