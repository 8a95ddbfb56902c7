"""Say what is wrong with a YAML document, with an eye for what YAML made of the text.

``no`` where a name is meant is the author's word and YAML's boolean: such problems say both. Only
values are looked at here; files and other documents are not.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from reconciler import schema_files
from reconciler.core.schema.checking import Checker
from reconciler.core.schema.explaining import SchemaProblem
from reconciler.core.schema.wording import quoted, show_instead
from reconciler.manifests.checking import api_version, checker, is_regular, kind_of
from reconciler.manifests.discovery import IGNORE_FILE
from reconciler.manifests.scalars import plain, reading

if TYPE_CHECKING:
    from reconciler.core.model.manifest import DocumentPath, JsonObject, JsonValue
    from reconciler.core.schema.explaining import Contrast
    from reconciler.manifests.reader import YamlDocument

_EXPONENT = re.compile(r"([-+]?[0-9]+)(\.[0-9]*)?[eE]([-+]?)([0-9]+)")


def check(document: YamlDocument) -> list[SchemaProblem]:
    """Return everything that the schema finds wrong in a document."""
    value = document.value
    if is_regular(value):
        found = checker(value["kind"]).problems(value, contrast(document))
    else:
        found = _check_irregular(value, contrast(document))
    return [problem for problem in found if problem.path not in document.replaced]


def contrast(document: YamlDocument) -> Contrast:
    """Return what ends a sentence about a wrong value: how it was written, and how YAML read it."""

    def end(path: DocumentPath, value: JsonValue, schema: JsonObject) -> str:
        scalar = document.scalar(path)
        if scalar is None:
            return show_instead(path, value, schema)
        if isinstance(value, str):
            wanted = _number_meant(scalar, schema)
        else:
            wanted = _text_meant(scalar.value, value, schema)
        return wanted or show_instead(path, value, schema)

    return end


def _check_irregular(value: JsonValue, contrast: Contrast) -> list[SchemaProblem]:
    """Check a document whose kind or format is not known: what can be told, and no more."""
    if not isinstance(value, dict):
        message = "a manifest must be a mapping with apiVersion, kind, metadata and spec"
        return [SchemaProblem((), message + show_instead((), value, {}))]
    found = _header().problems(value, contrast)
    if value.get("apiVersion", api_version()) != api_version():
        hint = f"; list files that are no manifests in {IGNORE_FILE}"
        return [
            SchemaProblem(it.path, it.message + hint) for it in found if it.path == ("apiVersion",)
        ]
    meant = kind_of(value)
    if meant:
        found += checker(meant).problems({**value, "kind": meant.value}, contrast)
    return list(dict.fromkeys(found))


@cache
def _header() -> Checker:
    """Return the checker of what all kinds have in common."""
    whole = schema_files.load("manifest")
    return Checker({key: value for key, value in whole.items() if key != "oneOf"})


def _text_meant(text: str, value: JsonValue, schema: JsonObject) -> str:
    """Say how YAML read what was meant as text, perhaps, and whether quotes would help."""
    if text == "":
        return ", but it has no value"
    told = f", but YAML reads {text} as {reading(text, value)}"
    if _takes_text(schema, text):
        return f'{told}; write "{text}"'
    return told if isinstance(value, bool) and text.lower() not in ("true", "false") else ""


def _takes_text(schema: JsonObject, text: str) -> bool:
    if "string" not in schema.get("type", ()):
        return text in schema.get("enum", ())
    return re.search(schema.get("pattern", ""), text) is not None


def _number_meant(scalar: Any, schema: JsonObject) -> str:
    """Say why digits were taken for text: quotes, or an exponent as YAML 1.1 does not know it."""
    types = schema.get("type", ())
    if "number" not in types and "integer" not in types:
        return ""
    written = scalar.value
    if not scalar.implicit[0]:
        is_number = isinstance(plain(written), (int, float))
        return f", not the text {quoted(written)}; leave out the quotes" if is_number else ""
    exponent = _EXPONENT.fullmatch(written)
    if exponent is None:
        return ""
    whole, fraction, sign, power = exponent.groups()
    better = f"{whole}{fraction or '.0'}e{sign or '+'}{power}"
    return f", but YAML reads {written} as text; write {better}"
