"""Saved plans: written for review, applied exactly or refused.

A saved plan carries its digest and the options that shaped it. Applying computes the plan anew from
the manifests and live state of that moment, and goes on only if the digest is the same and the file
says of it what it said when it was saved, so that what was reviewed is what happens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler import schema_files
from reconciler.core.errors import ExitCode, ReconcilerError, StalePlanError
from reconciler.core.limits import MAX_DELETIONS
from reconciler.core.schema.checking import Checker
from reconciler.core.selection import shard
from reconciler.core.selection.scope import EVERYTHING, Scope
from reconciler.lockfile import UnfitFileError, read_file, replace_file
from reconciler.render import json as as_json

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.core.model.plan import Plan

_MOST_NAMED = 10
#: How far jobs have got, which may change while a person reads.
_MOVING = frozenset({"lines", "expected", "message"})
#: What is compared by itself, or shapes the plan that is made anew.
_APART = frozenset({"format", "digest", "options"})
#: The most bytes that a saved plan may have.
LARGEST = 50_000_000


class InvalidSavedPlanError(ReconcilerError):
    """The file holds no plan that this version can apply."""

    exit_code = ExitCode.INVALID


@dataclass(frozen=True, slots=True)
class Saved:
    """A plan as it was saved, and the options that shaped it."""

    content: dict[str, Any]
    scope: Scope = EVERYTHING
    prune: bool = False
    max_deletions: int = MAX_DELETIONS
    max_trajectories: int | None = None


def text(
    plan: Plan,
    *,
    scope: Scope,
    prune: bool,
    max_deletions: int = MAX_DELETIONS,
    max_trajectories: int | None = None,
) -> str:
    """Return what a plan is saved as: itself, with the options that shaped it, if any did."""
    content = as_json.plan(plan)
    shaped = scope or prune or max_deletions != MAX_DELETIONS or max_trajectories is not None
    if shaped:
        content["options"] = {
            "labels": [f"{key}={value}" for key, value in scope.labels],
            "target": list(scope.targets),
            "exclude": list(scope.excluded),
            "prune": prune,
            "max_deletions": max_deletions,
            "max_trajectories": max_trajectories,
        } | ({"shard": str(scope.shard)} if scope.shard else {})
    return as_json.text(content)


def write(path: Path, content: str) -> None:
    """Write what a plan is saved as to a file, atomically; raises ReconcilerError."""
    try:
        replace_file(path, content)
    except OSError as error:
        raise ReconcilerError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> Saved:
    """Read a saved plan; raises InvalidSavedPlanError."""
    try:
        return parse(read_file(path, LARGEST), str(path))
    except OSError as error:
        raise InvalidSavedPlanError(f"{path}: {error.strerror}") from error
    except UnfitFileError as error:
        raise InvalidSavedPlanError(f"{path} {error}", hint=_AGAIN) from error


def parse(data: bytes, name: str) -> Saved:
    """Return the plan that something of this name holds; raises InvalidSavedPlanError."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidSavedPlanError(f"{name} is no saved plan: {error}", hint=_AGAIN) from error
    problems = Checker(schema_files.load("plan")).problems(content)
    if problems:
        message = f"{name} is no saved plan: {problems[0].message}"
        raise InvalidSavedPlanError(message, hint=_AGAIN)
    options = content.get("options")
    if options is None:
        return Saved(content)
    labels = tuple(tuple(pair.split("=", 1)) for pair in options["labels"])
    try:
        part = shard.parse(options["shard"]) if "shard" in options else None
    except ValueError as error:
        raise InvalidSavedPlanError(f"{name} is no saved plan: {error}", hint=_AGAIN) from error
    scope = Scope(labels, tuple(options["target"]), tuple(options["exclude"]), part)
    rest = ("prune", "max_deletions", "max_trajectories")
    return Saved(content, scope, **{name: options[name] for name in rest})


def require_same(saved: Saved, fresh: Plan) -> None:
    """Raise StalePlanError, saying what changed, unless a fresh plan would do what was saved."""
    now = as_json.plan(fresh)
    if now["digest"] == saved.content["digest"]:
        _require_unedited(saved.content, now)
        return
    if now["api_url"] != saved.content["api_url"]:
        planned_for = saved.content["api_url"]
        text = f"the saved plan is for {planned_for}, but this run speaks to {now['api_url']}"
        raise StalePlanError(text, hint=_AGAIN)
    changed = _changes(_by_line(saved.content), _by_line(now))
    more = len(changed) - _MOST_NAMED
    told = changed[:_MOST_NAMED] + ([f"and {more} more"] if more > 0 else [])
    raise StalePlanError(
        "the saved plan is out of date: " + ("; ".join(told) or "the manifests have changed"),
        hint=_AGAIN,
    )


_AGAIN = "Make a new one with `reconciler plan --out FILE`, and have it reviewed."


def _require_unedited(content: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise StalePlanError unless a plan of the same digest tells its reader the same."""
    told, true = _told(content), _told(now)
    differing = sorted(key for key in told.keys() | true.keys() if told.get(key) != true.get(key))
    if differing:
        raise StalePlanError(
            "the saved plan does not tell what would be done (see its "
            f"{', '.join(differing)}): it was edited, or the lockfile has changed",
            hint=_AGAIN,
        )


def _told(content: dict[str, Any]) -> dict[str, Any]:
    """Return all that a reader of a plan is told, but for how far jobs have got."""
    rest = {key: value for key, value in content.items() if key not in _APART}
    return {**rest, "actions": [_settled(action) for action in content["actions"]]}


def _settled(action: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in action.items() if key not in _MOVING}


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    same = before.keys() & after.keys()
    return [
        *(f"no longer: {line}" for line in before if line not in after),
        *(f"now also: {line}" for line in after if line not in before),
        *(
            f"now different: {line}"
            for line in after
            if line in same and before[line] != after[line]
        ),
    ]


def _by_line(content: dict[str, Any]) -> dict[str, Any]:
    """Return the actions of a plan, each by the line that names it."""
    return {
        " ".join(filter(None, (a["action"], a["kind"].lower(), a["resource"], a["stage"]))): (
            _settled(a)
        )
        for a in content["actions"]
    }
