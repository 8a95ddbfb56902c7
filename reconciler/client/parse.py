"""JSON answers → values of the model, tolerating what the sources of the API disagree about.

More keys, missing keys and nulls are fine; a shape that carries no meaning raises ValueError and so
counts as unreadable, never as absence.
"""

from __future__ import annotations

import math
from sys import intern
from typing import TYPE_CHECKING, Any

from reconciler.core.model.observed import LivePrompt, LiveRepo, LiveStage, LiveTarget

if TYPE_CHECKING:
    from collections.abc import Mapping


#: Deeper nesting than this carries no meaning, and would exhaust whoever compares it.
_DEEPEST = 100
_NESTED = (dict, list)


def repo(body: Mapping[str, Any]) -> LiveRepo:
    """Read a repo; a base model that is not told is None."""
    model = body.get("base_model")
    return LiveRepo(model if isinstance(model, str) else None)


def names(body: Mapping[str, Any], key: str) -> frozenset[str]:
    """Read a listing; items may be names or objects holding one."""
    items = body.get(key)
    if not isinstance(items, list):
        raise ValueError(f'the listing holds no "{key}"')
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
    return LiveStage(
        status=status,
        lines=count(body.get("lines")),
        expected=count(body.get("total_expected")),
        error=_sentence(body.get("error")),
        progress=_percent(body.get("progress_percent")),
    )


def count(value: Any) -> int | None:
    """Read a number of things; None for what is none."""
    number = _percent(value)
    return int(number) if number is not None and number >= 0 else None


def _name(item: Any, kind: str) -> str:
    name = item.get(f"{kind}_name") if isinstance(item, dict) else item
    if not isinstance(name, str):
        raise ValueError(f"the listing holds a {kind} without a name")
    return name


def _bounded(value: Any, room: int = _DEEPEST) -> Any:
    """Return the same value, refusing depth; its keys are shared with those of other answers."""
    if room == 0:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    if isinstance(value, dict):
        return {
            intern(key): _bounded(part, room - 1) if isinstance(part, _NESTED) else part
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_bounded(part, room - 1) if isinstance(part, _NESTED) else part for part in value]
    return value


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _percent(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
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
