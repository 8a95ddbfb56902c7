"""Values, texts and paths as they may stand in a sentence of a message, whatever they hold.

Only puts into words what it is given; never judges it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from reconciler.core.names import suggest

if TYPE_CHECKING:
    from reconciler.core.model.manifest import DocumentPath, JsonObject, JsonValue

_LONGEST_SHOWN = 60
_PLAIN_KEY = r"[A-Za-z_][\w-]*"


def show_instead(path: DocumentPath, value: JsonValue, schema: JsonObject) -> str:
    """Return ``, not …`` with the value, and the nearest of those that are allowed."""
    del path
    ending = f", not {shown(value)}"
    options = [option for option in schema.get("enum", ()) if isinstance(option, str)]
    return ending + suggest(value, options) if isinstance(value, str) else ending


def shown(value: JsonValue) -> str:
    """Return a value as it may stand in a sentence: on one line, without control characters."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return quoted(value)
    return json.dumps(value, default=str)


def quoted(text: str) -> str:
    """Return a text in double quotes, shortened if it is long, with what is invisible escaped."""
    short = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return "".join(
        char if char.isprintable() else ascii(char)[1:-1]
        for char in json.dumps(short, ensure_ascii=False)
    )


def counted(count: int, word: str, plural: str = "") -> str:
    """Return a number with a word in the right form: ``1 target``, ``1,000 targets``."""
    return f"{count:,} {word if count == 1 else plural or f'{word}s'}"


def spelled(path: DocumentPath) -> str:
    """Return a path as people write it: ``spec.generators[0].numq``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(_PLAIN_KEY, step):
            text += f".{step}" if text else step
        else:
            text += f"[{quoted(step)}]"
    return text
