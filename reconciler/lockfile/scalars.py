"""One text ↔ one YAML scalar, as lockfiles have them: plain where that is safe, else in quotes.

A text that needs an escape goes through the YAML library. Knows nothing of where a scalar stands,
and reads only what ``written`` could have written.
"""

from __future__ import annotations

import re
from functools import lru_cache

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Words that YAML 1.1 reads as something other than a string.
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_LONGEST_WORD = max(map(len, _WORDS))
_PLAIN = r"[A-Za-z][A-Za-z0-9_./:@+-]*(?<!:)"
_IS_PLAIN = re.compile(_PLAIN)
_NO_WORD = rf"(?!(?i:{'|'.join(sorted(_WORDS))})[:\n])"
_CLEAR = r"[ !#-\[\]-~]"
_IS_CLEAR = re.compile(f"{_CLEAR}*")
#: Matches a value with all that ``read`` needs; what follows must be the end of the line.
VALUE = rf'{_NO_WORD}{_PLAIN}|"{_CLEAR}*(?:\\[ -~]{_CLEAR}*)*"'
#: Matches a key without escapes, short enough for any YAML parser; a colon must follow.
KEY = rf'(?!.{{1000}})(?:{_NO_WORD}{_PLAIN}|"{_CLEAR}*")'


def written(value: str) -> str:
    """Return the scalar for a text, of ASCII characters on one line."""
    if _IS_PLAIN.fullmatch(value) and not _is_word(value):
        return value
    return f'"{value}"' if _IS_CLEAR.fullmatch(value) else _escaped(value)


def _is_word(value: str) -> bool:
    return len(value) <= _LONGEST_WORD and value.lower() in _WORDS


@lru_cache(maxsize=1024)
def _escaped(value: str) -> str:
    value = value.encode(errors="replace").decode()  # half a character is no UTF-8
    return yaml.safe_dump(value, default_style='"', width=float("inf")).rstrip("\n")


def read(scalar: str) -> str:
    """Return the text of a scalar that matches VALUE or KEY; raises YAMLError for a bad escape."""
    if scalar[0] != '"':
        return scalar
    return _unescaped(scalar) if "\\" in scalar else scalar[1:-1]


@lru_cache(maxsize=1024)
def _unescaped(scalar: str) -> str:
    return str(yaml.load(scalar, Loader=LOADER))  # noqa: S506
