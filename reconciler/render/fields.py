"""A field of the manifests and what it means, as text and as a JSON value."""

from __future__ import annotations

import json
import textwrap
from itertools import chain
from typing import TYPE_CHECKING, Any

from reconciler.render.style import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.core.schema.fields import Field

_INDENT = "  "
_LABEL_WIDTH = len("DEPRECATED:") + 1
#: A description in less room than this says nothing.
_LEAST_ROOM = 12


def kinds(found: Sequence[Field], *, width: int = 80) -> str:
    """Return the overview of all kinds."""
    longest = max(len(kind.name) for kind in found)
    lines = ["KINDS:"]
    for kind in found:
        indent = " " * (2 * len(_INDENT) + longest)
        lines += textwrap.wrap(
            kind.description,
            width,
            initial_indent=f"{_INDENT}{kind.name:<{longest}}{_INDENT}",
            subsequent_indent=indent,
        )
    return "\n".join(lines) + "\n"


def text(field: Field, *, width: int = 80, recursive: bool = False) -> str:
    """Return all about a field; ``recursive`` shows the tree below it instead of one level."""
    lines = list(_facts(field, width))
    lines += ["", "DESCRIPTION:", *_wrapped(field.description, width, _INDENT)]
    if field.fields:
        below = _tree(field.fields, _INDENT) if recursive else _lines(field.fields, width)
        lines += ["", "FIELDS:", *below]
    if field.fields and field.field_rules:
        rules = (_wrapped(rule, width, _INDENT) for rule in field.field_rules)
        lines += ["", "RULES OF THESE FIELDS:", *chain.from_iterable(rules)]
    return "\n".join(lines) + "\n"


def value(field: Field) -> dict[str, Any]:
    """Return a field, and those below it, as a JSON value."""
    return {
        "path": ".".join(field.path),
        "type": field.type,
        "required": field.required,
        "deprecated": field.deprecated,
        "bounds": list(field.bounds),
        "rules": list(field.rules),
        **({} if field.default is None else {"default": json.loads(field.default)}),
        "examples": [json.loads(example) for example in field.examples],
        "description": field.description,
        "field_rules": list(field.field_rules),
        "fields": [value(inner) for inner in field.fields],
    }


def _facts(field: Field, width: int) -> Iterator[str]:
    facts = [
        ("KIND:", field.path[0]),
        ("FIELD:", ".".join(field.path[1:])),
        ("TYPE:", field.type),
        ("BOUNDS:", "; ".join(field.bounds)),
        ("DEFAULT:", field.default or ""),
        ("REQUIRED:", "yes" if field.required else ""),
        ("RULES:", "; ".join(field.rules)),
        ("DEPRECATED:", "yes" if field.deprecated else ""),
        ("EXAMPLE:", "; ".join(field.examples)),
    ]
    for label, fact in facts:
        if fact:
            first, *more = _wrapped(fact, width, " " * _LABEL_WIDTH)
            yield f"{label:<{_LABEL_WIDTH}}{first.lstrip()}"
            yield from more


def _lines(fields: Sequence[Field], width: int) -> Iterator[str]:
    """Yield a line for each field: name, type, and as much of its description as fits."""
    names = [_name(field) for field in fields]
    name_width = max(map(len, names))
    type_width = max(len(field.simple_type) for field in fields)
    room = width - name_width - type_width - 3 * len(_INDENT)
    for name, field in zip(names, fields, strict=True):
        head = f"{_INDENT}{name:<{name_width}}{_INDENT}{field.simple_type:<{type_width}}"
        told = shorten(field.description, room) if room >= _LEAST_ROOM else ""
        yield f"{head}{_INDENT}{told}".rstrip()


def _tree(fields: Iterable[Field], indent: str) -> Iterator[str]:
    for field in fields:
        yield f"{indent}{_name(field)}  {field.simple_type}"
        yield from _tree(field.fields, indent + _INDENT)


def _name(field: Field) -> str:
    return f"{field.name} (required)" if field.required else field.name


def _wrapped(sentence: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(sentence, width, initial_indent=indent, subsequent_indent=indent)
