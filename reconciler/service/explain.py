"""Says why a value does not fit a schema, in the shape and the words of FastAPI's 422.

Loaded only when something is wrong; deciding whether it is, is the work of a faster validator.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from reconciler.service.problems import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError

MOST_FAULTS = 100

_KINDS = {
    "string": ("a string", "string_type"),
    "integer": ("an integer", "int_type"),
    "number": ("a number", "float_type"),
    "boolean": ("a boolean", "bool_type"),
    "array": ("a list", "list_type"),
    "object": ("an object", "dict_type"),
}


def explain(schema: dict[str, Any], value: object) -> list[Fault]:
    """Return at least one and at most MOST_FAULTS faults of a value that does not fit."""
    errors = Draft202012Validator(schema).iter_errors(value)
    found = [fault for error in errors for fault in _faults(error)]
    return list(islice(found, MOST_FAULTS)) or [_unexplained(("body",))]


def _faults(error: ValidationError) -> Iterator[Fault]:
    loc: tuple[str | int, ...] = ("body", *error.absolute_path)
    wanted: Any = error.validator_value
    match error.validator:
        case "required":
            missing = next(key for key in wanted if f"'{key}'" in error.message)
            yield Fault((*loc, missing), "Field required", "missing")
        case "additionalProperties":
            for key in _unknown_keys(error):
                yield Fault((*loc, key), "Extra inputs are not permitted", "extra_forbidden")
        case "type":
            yield _wrong_type(loc, wanted)
        case keyword:
            yield _out_of_bounds(loc, str(keyword), wanted)


def _unknown_keys(error: ValidationError) -> list[str]:
    if not isinstance(error.instance, dict) or not isinstance(error.schema, dict):
        return []
    return [key for key in error.instance if key not in error.schema["properties"]]


def _wrong_type(loc: tuple[str | int, ...], wanted: str | list[str]) -> Fault:
    names = [wanted] if isinstance(wanted, str) else [name for name in wanted if name != "null"]
    kinds = " or ".join(_KINDS[name][0] for name in names)
    return Fault(loc, f"Input should be {kinds}", _KINDS[names[0]][1])


def _out_of_bounds(loc: tuple[str | int, ...], keyword: str, bound: Any) -> Fault:
    match keyword:
        case "minimum":
            message = f"Input should be greater than or equal to {bound}"
            return Fault(loc, message, "greater_than_equal")
        case "maximum":
            message = f"Input should be less than or equal to {bound}"
            return Fault(loc, message, "less_than_equal")
        case "minLength":
            return Fault(loc, f"String is shorter than {bound}", "string_too_short")
        case "maxLength":
            return Fault(loc, f"String is longer than {bound}", "string_too_long")
        case "enum":
            options = ", ".join(f"'{option}'" for option in bound)
            return Fault(loc, f"Input should be one of {options}", "enum")
        case _:
            return _unexplained(loc)


def _unexplained(loc: tuple[str | int, ...]) -> Fault:
    return Fault(loc, "Input does not fit the schema", "value_error")
