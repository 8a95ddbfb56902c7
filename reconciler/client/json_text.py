"""JSON as it travels: what is sent, and what an answer means.

Numbers that JSON does not have, or that no float holds, are refused in both directions.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def written(value: Any) -> bytes:
    """Return a value as JSON; raises ValueError for numbers that are not finite."""
    return _ENCODER.encode(value).encode()


def parsed(content: bytes) -> Any:
    """Return the JSON value of a body; None for what is none, such as NaN or a number too large."""
    try:
        return _DECODER.decode(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
