"""JSON answers → values of the model, tolerating what the sources of the API disagree about.

More keys, missing keys and nulls are fine; a shape that carries no meaning raises ValueError and so
counts as unreadable, never as absence.
"""

from __future__ import annotations

import math
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Any

from reconciler.core.model.observed import LivePrompt, LiveRepo, LiveStage, LiveTarget

if TYPE_CHECKING:
    from collections.abc import Mapping


#: Deeper nesting than this carries no meaning, and would exhaust whoever compares it.
_DEEPEST = 100
_NUMERIC = {int, float}


def repo(body: Mapping[str, Any]) -> LiveRepo:
    """Read a repo; a base model that is not told is None."""
    model = body.get("base_model")
    return LiveRepo(model if isinstance(model, str) else None)


def names(body: Mapping[str, Any], key: str) -> frozenset[str]:
    """Read a listing; items may be names or objects holding one.

    The API documents no pages of listings. One that says it goes on is refused all the same: what
    it does not name would be taken for absent.
    """
    items = body.get(key)
    if not isinstance(items, list):
        raise ValueError(f'the listing holds no "{key}"')
    total = count(body.get("total"))
    if body.get("has_more") is True or (total is not None and total > len(items)):
        raise ValueError(f"the listing names only {len(items):,} {key}, and says there are more")
    return frozenset(_name(item, key.removesuffix("s")) for item in items)


def prompt(body: Mapping[str, Any]) -> LivePrompt:
    """Read a prompt."""
    messages, tools = body.get("messages"), body.get("tools")
    if not _are_objects(messages) or not (tools is None or _are_objects(tools)):
        raise ValueError("the prompt holds no list of messages")
    return LivePrompt({"messages": _bounded(messages), "tools": _bounded(tools)})


def target(body: Mapping[str, Any]) -> LiveTarget:
    """Read a target, without its stages."""
    config = body.get("config")
    if not isinstance(config, dict) or not _are_objects(config.get("generators") or []):
        raise ValueError("the target holds no config")
    return LiveTarget(_bounded(config))


def stage(body: Mapping[str, Any]) -> LiveStage:
    """Read a job status; only ``status`` must be there."""
    status = body.get("status")
    if not isinstance(status, str) or not status:
        raise ValueError("the answer holds no status")
    return _stage(
        status,
        count(body.get("lines")),
        count(body.get("total_expected")),
        _sentence(body.get("error")),
        _number(body.get("progress_percent")),
    )


@lru_cache
def _stage(
    status: str, lines: int | None, expected: int | None, error: str | None, progress: float | None
) -> LiveStage:
    """Return a job status: one object for many jobs, since most of them stand where others do."""
    return LiveStage(status, lines, expected, error, progress)


def count(value: Any) -> int | None:
    """Read a number of things; None for what is none."""
    if type(value) is int:  # the usual case, and not True
        return value if value >= 0 else None
    number = _number(value)
    return int(number) if number is not None and number >= 0 else None


def _name(item: Any, kind: str) -> str:
    name = item.get(f"{kind}_name") if isinstance(item, dict) else item
    if not isinstance(name, str):
        raise ValueError(f"the listing holds a {kind} without a name")
    return intern(name)


def _bounded(value: Any, room: int = _DEEPEST) -> Any:
    """Return the same value, refusing depth; its texts are shared with whoever has the same."""
    kind = type(value)
    if kind is not dict and kind is not list:
        return value
    if room == 0:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    if kind is list:
        return [intern(v) if type(v) is str else _bounded(v, room - 1) for v in value]
    return {
        intern(key): intern(v) if type(v) is str else _bounded(v, room - 1)
        for key, v in value.items()
    }


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _number(value: Any) -> float | None:
    if type(value) not in _NUMERIC:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _sentence(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("message") or value.get("error")
    return value if isinstance(value, str) and value else None
