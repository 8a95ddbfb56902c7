"""Durations as people write them: ``90s``, ``15m``, ``2h``, ``1h30m``."""

from __future__ import annotations

import re

#: A hundred years in seconds: who asks for more means for ever.
_LONGEST = 100 * 365 * 24 * 3600.0
_DURATION = r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?"


def parse(text: str) -> float:
    """Return the seconds of a duration, a hundred years at the most.

    Raises ValueError for anything else, zero included.
    """
    match = re.fullmatch(_DURATION, text)
    if not match or not text:
        raise ValueError(f"{text!r} is no duration; write it like 90s, 15m or 2h")
    hours, minutes, seconds = map(float, match.groups("0"))
    total = hours * 3600 + minutes * 60 + seconds
    if total <= 0:
        raise ValueError(f"{text!r} is no duration; it must be longer than nothing")
    return min(total, _LONGEST)


def text(seconds: float) -> str:
    """Return a short text for a duration: ``0.4s``, ``3s``, ``12s``, ``3m05s``, ``2h00m``."""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"
