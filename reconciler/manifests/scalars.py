"""What a YAML scalar means, exactly as PyYAML's safe loader has it, and what is refused of that.

Refused is what JSON cannot hold (dates, NaN, infinity, foreign tags) and what nobody means
(``12:30`` as the number 750). Nothing here knows where a scalar stands.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from reconciler.core.schema.wording import quoted

if TYPE_CHECKING:
    from reconciler.core.model.manifest import JsonValue

_PREFIX = "tag:yaml.org,2002:"
_LOADER: Any = yaml.SafeLoader("")
_NUMBERS = {_PREFIX + "int": "an integer", _PREFIX + "float": "a number"}
_NOUNS = {**_NUMBERS, _PREFIX + "bool": "true or false", _PREFIX + "null": "null"}
#: No number or word of YAML needs more characters; beyond it, reading digits costs real time.
_LONGEST = 400
#: Unquoted text that begins with none of these is simply text.
SUSPICIOUS = frozenset(_LOADER.yaml_implicit_resolvers)
_TEXT = {"!", _PREFIX + "str"}


class Refused(NamedTuple):
    """Stands for a scalar that cannot be taken, and says why."""

    message: str


@lru_cache(maxsize=8192)
def plain(text: str) -> JsonValue | Refused:
    """Return the value of an unquoted, untagged scalar."""
    tag: str = _LOADER.resolve(yaml.ScalarNode, text, (True, False))
    if tag in _NOUNS:
        return _typed(tag, text)
    if tag == _PREFIX + "timestamp":
        return Refused(f'YAML reads {_short(text)} as a date; write "{_short(text)}"')
    return text


def tagged(tag: str, text: str) -> JsonValue | Refused:
    """Return the value of a scalar that carries an explicit tag."""
    if tag in _TEXT:
        return text
    return _typed(tag, text) if tag in _NOUNS else refused_tag(tag)


def escaped(text: str) -> str | Refused:
    """Return the text of a double-quoted scalar, its escapes already replaced."""
    if is_whole(text):
        return text
    return Refused("an escape in this text is half a character only; write the character itself")


def is_whole(text: str) -> bool:
    """Tell whether no character of a text is half of one: UTF-8 has none for those."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refused_tag(tag: str) -> Refused:
    """Return the refusal of a tag that does not fit, or is none of JSON's types."""
    written = f"!!{tag.removeprefix(_PREFIX)}" if tag.startswith(_PREFIX) else tag
    return Refused(f"the tag {_short(written)} cannot be used here; leave it out")


def reading(text: str, value: JsonValue) -> str:
    """Say what YAML made of a plain scalar that is not text."""
    if value is None:
        return "no value"
    kind = "boolean" if isinstance(value, bool) else "number"
    read = json.dumps(value)
    return f"a {kind}" if read == text.lower() else f"the {kind} {read}"


def _typed(tag: str, text: str) -> JsonValue | Refused:
    if len(text) > _LONGEST:
        return Refused(f"{_short(text)} is too long for {_NOUNS[tag]}; put text in quotes")
    node = yaml.ScalarNode(tag, text)
    try:
        value = _LOADER.yaml_constructors[tag](_LOADER, node)
    except (ValueError, KeyError, IndexError):
        return Refused(f"{_short(text)} cannot be read as {_NOUNS[tag]}; put text in quotes")
    if tag in _NUMBERS and ":" in text:
        return Refused(f'YAML reads {text} as the number {value}; write "{text}"')
    if isinstance(value, float) and not math.isfinite(value):
        return Refused(
            f'{text} is not a number that JSON can hold; write "{text}" if text is meant'
        )
    return value


def _short(text: str) -> str:
    return quoted(text)[1:-1]
