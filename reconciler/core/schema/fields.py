"""What a JSON Schema says of its fields, for people: found by path, with references followed.

Pure; the schema is handed in. Words nothing beyond types, bounds and which fields go together:
descriptions are the schema's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.core.names import suggest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.core.model.manifest import JsonObject

_STEP = re.compile(r"[^.\[\]]+")
_EXPRESSION = "#/$defs/expression"
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} keys",
    "maxProperties": "at most {} keys",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field, or a kind as a whole: ``path`` begins with the kind, ``type`` is in words.

    ``simple_type`` is one word. ``fields`` are those in it, as far as was asked for; ``default``
    and ``examples`` are JSON texts. ``rules`` say how the field goes together with those beside it,
    ``field_rules`` how those in it do.
    """

    path: tuple[str, ...]
    type: str
    simple_type: str
    description: str
    required: bool
    deprecated: bool
    bounds: tuple[str, ...]
    default: str | None
    examples: tuple[str, ...]
    rules: tuple[str, ...]
    field_rules: tuple[str, ...]
    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        """The last step of the path."""
        return self.path[-1]


class UnknownFieldError(LookupError):
    """There is no such field; the message is a sentence that says what there is."""


def kinds(schema: JsonObject) -> tuple[Field, ...]:
    """Return the kinds of document that a schema describes, without their fields."""
    names = schema["properties"]["kind"]["enum"]
    reading = _Reading(schema)
    return tuple(reading.field((name,), {"$ref": f"#/$defs/{name}"}, depth=0) for name in names)


def find(schema: JsonObject, path: str, *, recursive: bool = False) -> Field:
    """Return the field at a path such as ``target.spec.generators``, in which indexes do not count.

    It comes with the fields in it, if ``recursive`` with those in them, too. Raises
    UnknownFieldError.
    """
    kind, *steps = [step for step in _STEP.findall(path) if not step.isdecimal()] or [path]
    names: Sequence[str] = schema["properties"]["kind"]["enum"]
    name = next((name for name in names if name.lower() == kind.lower()), "")
    if not name:
        raise UnknownFieldError(f'no kind "{kind}"{_offered(kind, names)}')
    reading = _Reading(schema)
    where: tuple[str, ...] = (name,)
    found: JsonObject = {"$ref": f"#/$defs/{name}"}
    beside = _Beside()
    for step in steps:
        inner = reading.inner(found)
        known = step if step in inner else next((it for it in inner if it.startswith("<")), "")
        if not known:
            told = _offered(step, inner)
            raise UnknownFieldError(f'{".".join(where)} has no field "{step}"{told}')
        beside = reading.beside(found)
        where, found = (*where, step), inner[known]
    return reading.field(where, found, depth=99 if recursive else 1, beside=beside)


def _offered(word: str, names: Mapping[str, Any] | Sequence[str]) -> str:
    near = suggest(word, names)
    return near or (f"; there are {', '.join(names)}" if names else "; it has none at all")


@dataclass(frozen=True, slots=True)
class _Rule:
    """How some fields of a mapping go together, in words."""

    names: frozenset[str]
    words: str


@dataclass(frozen=True, slots=True)
class _Beside:
    """What holds for the fields of a mapping: which must be there, and how they go together."""

    required: frozenset[str] = frozenset()
    rules: tuple[_Rule, ...] = ()

    def rules_of(self, name: str) -> tuple[str, ...]:
        """Return the rules that a field is part of, in words."""
        return tuple(rule.words for rule in self.rules if name in rule.names)


class _Reading:
    """Reads fields of one schema."""

    def __init__(self, schema: JsonObject) -> None:
        self._schema = schema

    def field(
        self,
        path: tuple[str, ...],
        schema: JsonObject,
        *,
        depth: int,
        beside: _Beside = _Beside(),
    ) -> Field:
        """Return a field with so many levels of fields below it."""
        own = self._whole(schema)
        inner, within = (self.inner(own) if depth else {}), self.beside(own)
        return Field(
            path=path,
            type=self._type(own),
            simple_type=self._simple_type(own),
            description=own.get("description", ""),
            required=path[-1] in beside.required,
            deprecated=own.get("deprecated", False),
            bounds=tuple(_bounds(own)),
            default=json.dumps(own["default"]) if "default" in own else None,
            examples=tuple(
                json.dumps(item, ensure_ascii=False) for item in own.get("examples", ())
            ),
            rules=beside.rules_of(path[-1]),
            field_rules=tuple(rule.words for rule in within.rules),
            fields=tuple(
                self.field((*path, name), item, depth=depth - 1, beside=within)
                for name, item in inner.items()
            ),
        )

    def inner(self, schema: JsonObject) -> dict[str, JsonObject]:
        """Return the fields of a mapping, or of what a list holds; ``<name>`` is any other."""
        own = self._whole(schema)
        found = dict(own.get("properties", {}))
        more = own.get("additionalProperties")
        if isinstance(more, dict):
            found["<name>"] = more
        for part in self._parts(own):
            found.update(self.inner(part))
        return found

    def beside(self, schema: JsonObject) -> _Beside:
        """Return what holds for the fields of a mapping, or of what a list holds."""
        own = self._whole(schema)
        below = [self.beside(part) for part in self._parts(own)]
        required = frozenset(own.get("required", ())).union(*(it.required for it in below))
        rules = [*self._rules(own), *(rule for it in below for rule in it.rules)]
        return _Beside(required, tuple(dict.fromkeys(rules)))

    def _rules(self, own: JsonObject) -> Iterator[_Rule]:
        yield from _choice("exactly one of", own.get("oneOf", ()))
        yield from _choice("at least one of", own.get("anyOf", ()))
        apart = own.get("not", {}).get("required", ())
        if apart:
            yield _Rule(frozenset(apart), f"not both {' and '.join(apart)}")
        for part in map(self._whole, own.get("allOf", ())):
            condition = _condition(part.get("if", {}))
            for rule in self._rules(part.get("then", part)):
                yield _Rule(rule.names, rule.words + condition)

    def _parts(self, own: JsonObject) -> Iterator[JsonObject]:
        yield from (part for part in own.get("anyOf", ()) if not _is_choice(part))
        if "items" in own:
            yield own["items"]

    def _whole(self, schema: JsonObject) -> dict[str, Any]:
        """Return a schema with what it refers to, also where that holds of all but expressions."""
        place = schema.get("$ref") or schema.get("else", {}).get("$ref")
        if not place:
            return dict(schema)
        meant: Any = self._schema
        for step in place.removeprefix("#/").split("/"):
            meant = meant[int(step)] if isinstance(meant, list) else meant[step]
        own = {key: value for key, value in schema.items() if key not in ("$ref", "else")}
        return {**self._whole(meant), **own}

    def _type(self, own: JsonObject) -> str:
        told = _listed([*dict.fromkeys(self._types(own))]) or "anything"
        return f"{told}, or an expression" if self._takes_expression(own) else told

    def _takes_expression(self, own: JsonObject) -> bool:
        parts = map(self._whole, own.get("anyOf", ()))
        here: bool = own.get("then", {}).get("$ref") == _EXPRESSION
        return here or any(map(self._takes_expression, parts))

    def _types(self, own: JsonObject) -> Iterator[str]:
        if "const" in own or "enum" in own:
            yield from map(str, own.get("enum") or [own["const"]])
        for part in own.get("anyOf", ()):
            yield from self._types(self._whole(part))
        for name in _names(own):
            yield self._list(own) if name == "array" else _WORDS.get(name, name)

    def _list(self, own: JsonObject) -> str:
        return f"list of {self._simple_type(self._whole(own.get('items', {})))}s"

    def _simple_type(self, own: JsonObject) -> str:
        for part in own.get("anyOf", ()):
            simple = self._simple_type(self._whole(part))
            if simple != "string":
                return simple
        name = next((name for name in _names(own) if name != "null"), "string")
        return _WORDS.get(name, name)


def _is_choice(branch: JsonObject) -> bool:
    """Tell whether a branch does nothing but require fields."""
    return "required" in branch and "type" not in branch


def _choice(words: str, branches: Sequence[JsonObject]) -> Iterator[_Rule]:
    if branches and all(map(_is_choice, branches)):
        names = [name for branch in branches for name in branch["required"]]
        told = f"{words} {', '.join(names)}" if len(names) > 1 else f"{names[0]} is required"
        yield _Rule(frozenset(names), told)


def _condition(schema: JsonObject) -> str:
    """Return the end of a rule that holds only where a field has a certain value."""
    fields = schema.get("properties", {}).items()
    return "".join(f" where {name} is {value['const']}" for name, value in fields)


_WORDS = {"object": "mapping", "array": "list"}


def _listed(words: Sequence[str]) -> str:
    *first, last = words or [""]
    return f"{', '.join(first)} or {last}" if first else last


def _names(own: JsonObject) -> Sequence[str]:
    types = own.get("type", ())
    return [types] if isinstance(types, str) else types


def _bounds(own: JsonObject) -> Iterator[str]:
    for keyword, words in _BOUNDS.items():
        limit = own.get(keyword)
        if limit == 1 and keyword.startswith("min") and keyword != "minimum":
            yield "not empty"
        elif limit is not None:
            yield words.format(f"{limit:,}")
    if "patternErrorMessage" in own:
        yield str(own["patternErrorMessage"]).removeprefix("must be ")
