"""Say in plain words what is wrong with a value that a JSON Schema refuses.

``jsonschema`` takes the value apart, but nobody sees a message of it: every problem is told in
words of this module. It reads no files and knows no positions, only paths into the value.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from reconciler.core.names import nearest
from reconciler.core.schema.wording import quoted, show_instead, shown, spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from reconciler.core.model.manifest import DocumentPath, JsonObject, JsonValue

#: Ends a sentence that says what a value must be: given its path, the value, the schema it fails.
Contrast: TypeAlias = "Callable[[DocumentPath, JsonValue, JsonObject], str]"

#: So many unknown keys of one mapping are told; who has more has another problem.
_MOST_TOLD = 100
_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "null",
}
_BOUNDS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} keys",
    "maxProperties": "must have at most {} keys",
}
#: Where it would say nothing to show the value that is wrong.
_SIZES = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """What is wrong at a path; with ``at_key`` it is the key that is meant, not its value."""

    path: DocumentPath
    message: str
    at_key: bool = False


def explain(
    schema: JsonObject, value: JsonValue, contrast: Contrast | None = None
) -> list[SchemaProblem]:
    """Return everything that is wrong with a value, one problem for one mistake.

    ``contrast`` words how the value differs from what was wanted; by default it shows it.
    """
    explainer = _Explainer(contrast or show_instead)
    return explainer.explain(_failures(schema, value)) or [
        SchemaProblem((), "this does not have the form that the schema wants")
    ]


@dataclass(frozen=True, slots=True)
class _Failure:
    """A keyword of a schema that a value fails; ``branches`` are the failures of alternatives."""

    keyword: str
    limit: Any
    schema: JsonObject
    value: JsonValue
    path: DocumentPath
    branches: tuple[tuple[_Failure, ...], ...]


class _Explainer:
    """Turns the failures of one value into problems.

    A misspelt key is one mistake: the key that was ``meant`` is not reported as missing.
    """

    def __init__(self, contrast: Contrast) -> None:
        self._contrast = contrast
        self._meant: defaultdict[DocumentPath, set[str]] = defaultdict(set)

    def explain(self, failures: Iterable[_Failure]) -> list[SchemaProblem]:
        misspelt_first = sorted(failures, key=lambda it: it.keyword != "additionalProperties")
        return list(
            dict.fromkeys(problem for it in misspelt_first for problem in self._explain(it))
        )

    def _explain(self, failure: _Failure) -> Iterable[SchemaProblem]:
        match failure.keyword:
            case "additionalProperties":
                return self._unknown_keys(failure)
            case "required":
                return self._missing(failure)
            case "anyOf" | "oneOf" if all("required" in branch for branch in failure.limit):
                return self._missing_one(failure) if isinstance(failure.value, dict) else ()
            case "anyOf" | "oneOf":
                return self._alternatives(failure)
            case "not":
                return [self._refused(failure)]
            case _:
                return [self._wrong_value(failure, _demand(failure))]

    def _unknown_keys(self, failure: _Failure) -> Iterator[SchemaProblem]:
        path, present = failure.path, failure.value.keys()
        known = failure.schema.get("properties", {}).keys()
        for key in sorted(present - known)[:_MOST_TOLD]:
            near = nearest(key, known - present)
            if near:
                self._meant[path].add(near)
            message = f"unknown key {quoted(key)}{_inside(path)}{_did_you_mean(near)}"
            yield SchemaProblem((*path, key), message, at_key=True)

    def _missing(self, failure: _Failure) -> Iterator[SchemaProblem]:
        for key in failure.limit:
            if key not in failure.value and key not in self._meant[failure.path]:
                message = f"missing key {quoted(key)}{_inside(failure.path)}"
                yield SchemaProblem(failure.path, message, at_key=True)

    def _missing_one(self, failure: _Failure) -> Iterator[SchemaProblem]:
        keys = [key for branch in failure.limit for key in branch["required"]]
        present = [key for key in keys if failure.value.get(key) is not None]
        if len(present) > 1:
            yield _excluding(failure.path, present)
        elif not present and self._meant[failure.path].isdisjoint(keys):
            message = f"missing key {' or '.join(map(quoted, keys))}{_inside(failure.path)}"
            yield SchemaProblem(failure.path, message, at_key=True)

    def _alternatives(self, failure: _Failure) -> Iterable[SchemaProblem]:
        fitting = [branch for branch in failure.branches if _fits(branch, failure.path)]
        if fitting:
            nearest_branch = min(fitting, key=len)
            return self.explain(nearest_branch)
        wanted = dict.fromkeys(_wanted(branch, failure.path) for branch in failure.branches)
        return [self._wrong_value(failure, f"must be {' or '.join(wanted)}")]

    def _refused(self, failure: _Failure) -> SchemaProblem:
        refused = failure.limit
        if "required" in refused:
            return _excluding(failure.path, refused["required"])
        why = f": {refused['description']}" if "description" in refused else ""
        if "const" in refused:
            text = f"{spelled(failure.path)} must not be {shown(refused['const'])}{why}"
            return SchemaProblem(failure.path, text)
        text = f"{spelled(failure.path)} does not belong here{why}"
        return SchemaProblem(failure.path, text, at_key=True)

    def _wrong_value(self, failure: _Failure, demand: str) -> SchemaProblem:
        message = f"{spelled(failure.path) or 'this'} {demand}"
        if failure.keyword not in _SIZES:
            message += self._contrast(failure.path, failure.value, failure.schema)
        return SchemaProblem(failure.path, message)


def _excluding(path: DocumentPath, keys: Sequence[str]) -> SchemaProblem:
    message = f"{' and '.join(map(quoted, keys))} exclude each other{_inside(path)}"
    return SchemaProblem((*path, keys[-1]), message, at_key=True)


def _inside(path: DocumentPath) -> str:
    return f" in {spelled(path)}" if path else ""


def _did_you_mean(near: str | None) -> str:
    return f" (did you mean {quoted(near)}?)" if near else ""


def _failures(schema: JsonObject, value: JsonValue) -> list[_Failure]:
    return [_failure(error) for error in _validator_class()(schema).iter_errors(value)]


@cache
def _validator_class() -> Any:
    from jsonschema import validators  # slow to import, and rarely needed

    extend: Any = validators.extend
    return extend(validators.Draft202012Validator, {"pattern": _check_pattern})


def _failure(error: Any) -> _Failure:
    branches: defaultdict[int, list[_Failure]] = defaultdict(list)
    for inner in error.context:
        branches[inner.relative_schema_path[0]].append(_failure(inner))
    return _Failure(
        keyword=error.validator,
        limit=error.validator_value,
        schema=error.schema,
        value=error.instance,
        path=tuple(error.absolute_path),
        branches=tuple(map(tuple, branches.values())),
    )


def _check_pattern(validator: Any, pattern: str, value: JsonValue, _: JsonObject) -> Iterator[Any]:
    from jsonschema import ValidationError

    if validator.is_type(value, "string") and not _matches(pattern, value):
        yield ValidationError(pattern)


def _matches(pattern: str, text: str) -> bool:
    """Match as JSON Schema means it: ``$`` is the very end, not the place before a newline."""
    return re.search(re.sub(r"\$$", r"\\Z", pattern), text) is not None


def _fits(branch: Sequence[_Failure], path: DocumentPath) -> bool:
    """Tell whether an alternative is meant for values of this type at all."""
    own = [failure for failure in branch if failure.path == path]
    return not any(
        it.keyword == "type"
        or (it.keyword == "enum" and type(it.value) not in {type(option) for option in it.limit})
        for it in own
    )


def _wanted(branch: Iterable[_Failure], path: DocumentPath) -> str:
    own = next(failure for failure in branch if failure.path == path)
    return _demand(own).removeprefix("must be ").removeprefix("one of ")


def _demand(failure: _Failure) -> str:
    limit = failure.limit
    match failure.keyword:
        case "type":
            return _type_demand(failure)
        case "pattern":
            return _pattern_demand(failure.schema)
        case "enum":
            return f"must be one of {', '.join(map(str, limit))}"
        case "const":
            return f"must be {shown(limit)}"
        case "minLength" | "minItems" | "minProperties" if limit == 1:
            return "must not be empty"
    return _BOUNDS.get(failure.keyword, "is not as the schema wants it").format(limit)


def _type_demand(failure: _Failure) -> str:
    """Name the wanted types; where quotes would not help, say what the text must look like."""
    if not _matches(failure.schema.get("pattern", ""), str(failure.value)):
        return _pattern_demand(failure.schema)
    types = [failure.limit] if isinstance(failure.limit, str) else failure.limit
    return "must be " + " or ".join(_TYPES[name] for name in types if name != "null")


def _pattern_demand(schema: JsonObject) -> str:
    return str(schema.get("patternErrorMessage", f"must match {schema['pattern']}"))
