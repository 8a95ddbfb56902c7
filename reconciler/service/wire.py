"""JSON text as the service sends and stores it. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def dumps(value: object) -> str:
    """Return compact JSON; raises ValueError for what JSON cannot say."""
    return _encode(value)


def assemble(fields: Mapping[str, object], ready: Mapping[str, str]) -> str:
    """Return an object of fields and of values that are ``ready`` JSON text."""
    parts = [f"{dumps(key)}:{dumps(value)}" for key, value in fields.items()]
    parts += [f"{dumps(key)}:{text}" for key, text in ready.items()]
    return "{" + ",".join(parts) + "}"


def array(records: Sequence[str]) -> str:
    """Return an array of values that are JSON text already."""
    return "[" + ",".join(records) + "]"
