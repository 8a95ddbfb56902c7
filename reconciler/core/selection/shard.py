"""Shards: parts of a project that together are the whole and have nothing in common.

Which shard a resource belongs to depends on its address and the number of shards alone, never on
what else is declared, on the machine or on the version of Python.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.core.model.manifest import ResourceId

_WRITTEN = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")
_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` (from 1) of ``count``."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def __contains__(self, id_: ResourceId) -> bool:
        """Tell whether a resource belongs to this shard.

        The first eight bytes of the SHA-256 of its address (``repo/name`` in UTF-8), read as a
        big-endian number, modulo the number of shards, plus one, is the number of its shard.
        """
        digest = hashlib.sha256(str(id_).encode()).digest()
        return int.from_bytes(digest[:_HASH_BYTES], "big") % self.count == self.number - 1


def parse(text: str) -> Shard:
    """Return the shard that is written ``2/5``; raises ValueError."""
    match = _WRITTEN.fullmatch(text)
    found = Shard(int(match[1]), int(match[2])) if match else None
    if not found or found.number > found.count:
        raise ValueError(f"{text!r} is no shard; write it like 2/5, the second of five")
    return found
