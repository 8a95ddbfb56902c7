"""Read JSON text as strictly as YAML is read here: one value, no key twice, nothing JSON lacks."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from reconciler.manifests import reader
from reconciler.manifests.parser import DEEPEST, TOO_DEEP
from reconciler.manifests.scalars import is_whole
from reconciler.manifests.syntax import Fault, at_offset

if TYPE_CHECKING:
    from reconciler.core.model.manifest import JsonValue

_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)')
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def parse(text: str) -> JsonValue | Fault:
    """Return the value of a JSON text, or the fault that makes it none."""
    try:
        value = json.loads(text, object_pairs_hook=_mapping, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        message = f"this is not valid JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        return Fault(error.lineno, error.colno, message)
    except _DuplicateKeyError:
        return _duplicate(text)
    except _ConstantError as error:
        found = (match for match in _CONSTANT.finditer(text) if match[1])
        return at_offset(text, next(found).start(1), f"{error} is not a number that JSON can hold")
    except RecursionError:
        return Fault(1, 1, TOO_DEEP)
    except ValueError:  # what is left of those is the limit on the digits of an integer
        return Fault(1, 1, "a number in this file has too many digits")
    return _unusable(value, DEEPEST) or value


def places(text: str) -> reader.YamlDocument | None:
    """Return where things stand in a JSON text: it is nearly YAML, near enough for that."""
    found = reader.read(_SURROGATE_ESCAPE.sub(r"\\u003f", text)).documents
    return found[0] if found else None


class _DuplicateKeyError(Exception):
    pass


class _ConstantError(Exception):
    pass


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise _DuplicateKeyError
    return mapping


def _refuse_constant(name: str) -> None:
    raise _ConstantError(name)


def _duplicate(text: str) -> Fault:
    """Let the reader that knows positions find the key."""
    document = places(text)
    faults = document.faults if document else ()
    duplicates = (fault for fault in faults if fault.message.startswith("duplicate key"))
    return next(duplicates, Fault(1, 1, "a key stands twice in one object"))


def _unusable(value: JsonValue, room: int) -> Fault | None:
    """Find what JSON text can spell, but nobody can store: half characters, endless nesting."""
    if isinstance(value, str):
        whole = is_whole(value)
        return None if whole else Fault(1, 1, "an escape stands for half a character only")
    if not isinstance(value, (dict, list)):
        return None
    if room == 0:
        return Fault(1, 1, TOO_DEEP)
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return next(filter(None, (_unusable(part, room - 1) for part in parts)), None)
