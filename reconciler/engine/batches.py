"""Cut what is to be sent into batches: few requests, with bodies of bounded size.

Keeps the order, and neither loses nor repeats an item. Never sends anything.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Item = TypeVar("Item")
_COMMA = 1


def in_batches(
    items: Iterable[Item], body: Callable[[Item], Any], *, most: int, largest: int
) -> list[list[Item]]:
    """Return batches of at most ``most`` items and ``largest`` bytes, measured as ASCII JSON.

    ``body`` gives what of an item is sent. An item that is larger by itself is a batch of its own.
    """
    batches: list[list[Item]] = []
    filled = 0
    for item in items:
        size = len(json.dumps(body(item))) + _COMMA
        if not batches or len(batches[-1]) == most or filled + size > largest:
            batches.append([])
            filled = 0
        batches[-1].append(item)
        filled += size
    return batches
