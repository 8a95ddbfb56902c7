"""Saved plans: written for review, applied exactly or refused.

A saved plan carries its digest and the options that shaped it. Applying computes the plan anew from
the manifests and live state of that moment, and goes on only if the digest is the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler import schema_files
from reconciler.core.errors import BlockedError, ExitCode, ReconcilerError
from reconciler.core.schema import Checker
from reconciler.core.scope import Scope
from reconciler.lockfile import replace_file
from reconciler.render import json as as_json

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.core.model.plan import Plan

_MOST_NAMED = 10


class InvalidSavedPlanError(ReconcilerError):
    """The file holds no plan that this version can apply."""

    exit_code = ExitCode.INVALID


@dataclass(frozen=True, slots=True)
class Saved:
    """A plan as it was saved, and the options that shaped it."""

    content: dict[str, Any]
    scope: Scope
    prune: bool


def save(plan: Plan, path: Path, *, scope: Scope, prune: bool) -> None:
    """Write a plan to a file, atomically."""
    content = as_json.plan(plan)
    if scope or prune:
        content["options"] = {
            "labels": [f"{key}={value}" for key, value in scope.labels],
            "target": list(scope.targets),
            "exclude": list(scope.excluded),
            "prune": prune,
        }
    try:
        replace_file(path, as_json.text(content))
    except OSError as error:
        raise ReconcilerError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> Saved:
    """Read a saved plan; raises InvalidSavedPlanError."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidSavedPlanError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidSavedPlanError(f"{path} is no saved plan: {error}", hint=_AGAIN) from error
    problems = Checker(schema_files.load("plan")).problems(content)
    if problems:
        text = f"{path} is no saved plan: {problems[0].message}"
        raise InvalidSavedPlanError(text, hint=_AGAIN)
    options = content.get("options", {})
    labels = tuple(tuple(pair.split("=", 1)) for pair in options.get("labels", ()))
    scope = Scope(labels, tuple(options.get("target", ())), tuple(options.get("exclude", ())))
    return Saved(content, scope, options.get("prune", False))


def require_same(saved: Saved, fresh: Plan) -> None:
    """Raise BlockedError, saying what changed, unless a fresh plan would do what was saved."""
    now = as_json.plan(fresh)
    if now["digest"] == saved.content["digest"]:
        return
    before, after = _lines(saved.content), _lines(now)
    changed = [f"no longer: {line}" for line in before if line not in set(after)]
    changed += [f"now also: {line}" for line in after if line not in set(before)]
    more = len(changed) - _MOST_NAMED
    told = changed[:_MOST_NAMED] + ([f"and {more} more"] if more > 0 else [])
    raise BlockedError(
        "the saved plan is out of date: " + ("; ".join(told) or "the manifests have changed"),
        hint=_AGAIN,
    )


_AGAIN = "Make a new one with `reconciler plan --out FILE`, and have it reviewed."


def _lines(content: dict[str, Any]) -> list[str]:
    return [
        " ".join(filter(None, (a["action"], a["kind"].lower(), a["resource"], a["stage"])))
        for a in content["actions"]
    ]
