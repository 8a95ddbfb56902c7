"""PyYAML's parser, and how much is read of what it finds. Judges nothing."""

from __future__ import annotations

from typing import Any, TypeAlias

import yaml

#: An event of the parser. ``Any``, because its marks are optional in type, though never in fact.
Event: TypeAlias = Any

#: Nesting deeper than this is refused.
DEEPEST = 100
TOO_DEEP = f"this is nested more than {DEEPEST} levels deep"
#: The most values and keys that a file may hold: each takes hundreds of bytes to read.
MOST_VALUES = 500_000

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parser(text: str) -> Any:
    """Return PyYAML's parser of a text: the one in C, where there is one."""
    return _Loader(text)
