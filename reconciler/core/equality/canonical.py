"""One JSON text for one meaning, and the digests made of it.

Key order, number style (1 or 1.0) and layout never change a digest. Never reads or writes anything.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.core.model.manifest import JsonValue

_PREFIX = "sha256:"
_SHORT = 8
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def plain_numbers(value: JsonValue) -> JsonValue:
    """Return the value with whole floats as integers, so that 1 and 1.0 are the same text."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {key: plain_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_numbers(item) for item in value]
    return value


def dumps(value: JsonValue) -> str:
    """Return the canonical JSON of a value; raises ValueError for NaN and infinities."""
    return _ENCODER.encode(plain_numbers(value))


def digest(value: JsonValue) -> str:
    """Return ``sha256:`` and the hex digest of the canonical JSON of a value."""
    from hashlib import sha256  # not every command makes a digest

    return _PREFIX + sha256(dumps(value).encode()).hexdigest()


class Digest:
    """The digest of what ``content`` returns, made when first asked for: few verbs need it."""

    __slots__ = ("_content", "_made")

    def __init__(self, content: Callable[[], JsonValue]) -> None:
        self._content: Callable[[], JsonValue] | None = content
        self._made = ""

    def __str__(self) -> str:
        if self._content:
            self._made, self._content = digest(self._content()), None
        return self._made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def revision_name(name: str, digest_: str) -> str:
    """Return the live name of a revision: the name and the first 8 hex digits of the digest."""
    return f"{name}-{digest_.removeprefix(_PREFIX)[:_SHORT]}"


def revised_names(live_names: Iterable[str]) -> frozenset[str]:
    """Return the names of which some live name may be a revision, as far as its form tells."""
    end = -_SHORT - 1
    return frozenset(name[:end] for name in live_names if name[end : end + 1] == "-")
