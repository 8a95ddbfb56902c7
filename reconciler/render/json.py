"""Plans, events and results as JSON values, in the shapes of the published schemas."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from reconciler.core.errors import ExitCode
from reconciler.core.model.plan import Verb
from reconciler.core.planning import fingerprint

if TYPE_CHECKING:
    from reconciler.core.model.events import Event, RunResult
    from reconciler.core.model.plan import Action, Estimate, Plan

PLAN_FORMAT = "reconciler/plan/v1"
#: Delete, C1 controls, invisible and direction-changing characters, lone surrogates.
_UNSHOWN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_OUTCOMES = {
    "converged": ExitCode.OK,
    "pending": ExitCode.PENDING,
    "blocked": ExitCode.BLOCKED,
    "errors": ExitCode.ERROR,
}


def text(value: Any, *, indent: int | None = 2) -> str:
    """Return JSON text with a final newline; keys keep their order.

    What a terminal would obey instead of show is escaped.
    """
    plain = json.dumps(value, indent=indent, ensure_ascii=False)
    return _UNSHOWN.sub(lambda match: f"\\u{ord(match[0]):04x}", plain) + "\n"


def plan(value: Plan) -> dict[str, Any]:
    """Return a plan as described by ``plan.v1.json``."""
    body: dict[str, Any] = {
        "api_url": value.api_url,
        "converged": value.converged,
        "summary": summary(value),
        "actions": [_action(action, value) for action in value.changes],
        "estimate": _estimate(value.estimate),
    }
    if value.estimates:
        body["estimates"] = {str(id_): _estimate(it) for id_, it in value.estimates.items()}
    if value.accepted_shortfalls:
        body["accepted_shortfalls"] = [_shortfall(it) for it in value.accepted_shortfalls]
    if value.unknown:
        body["unreadable"] = [
            {"kind": str(u.resource.kind), "resource": str(u.resource), "message": u.why}
            for u in value.unknown
        ]
    if value.orphans:
        body["orphans"] = [{"kind": str(id_.kind), "resource": str(id_)} for id_ in value.orphans]
    return {"format": PLAN_FORMAT, "digest": fingerprint.digest(value), **body}


def summary(value: Plan) -> dict[str, int]:
    """Return how many actions of a plan have each verb."""
    return {str(verb): value.count(verb) for verb in Verb}


def event(value: Event) -> dict[str, Any]:
    """Return an event as one JSON object, without what does not apply."""
    stage = value.stage
    fields = {
        "stage": str(stage) if stage else None,
        "lines": value.lines,
        "expected": value.expected,
        "progress_percent": value.progress,
        "attempt": value.attempt,
        "seconds": None if value.seconds is None else round(value.seconds, 3),
        "message": value.message or None,
    }
    return {
        "event": str(value.kind),
        "kind": str(value.resource.kind),
        "resource": str(value.resource),
        **{key: item for key, item in fields.items() if item is not None},
    }


def result(value: RunResult) -> dict[str, Any]:
    """Return the last line of ``apply --format json``."""
    return {
        "event": "summary",
        "exit_code": int(value.exit_code),
        "converged": value.converged,
        "resources": {name: value.count(code) for name, code in _OUTCOMES.items()},
        "requests": value.requests,
    }


def stopped(code: ExitCode, message: str, so_far: RunResult | None = None) -> dict[str, Any]:
    """Return the last line of ``apply --format json`` when an error ended the run there.

    Without ``so_far``, nothing had been done by then.
    """
    from reconciler.core.model.events import RunResult  # a plan needs none

    known = result(so_far or RunResult(()))
    return {**known, "exit_code": int(code), "converged": False, "error": message}


def _is_revised(action: Action) -> bool:
    resource = action.resource
    return action.live_name not in {"", resource.name or resource.repo}


def _estimate(value: Estimate) -> dict[str, int | None]:
    return {
        "stim_lines": value.stim_lines,
        "trajectories": value.trajectories,
        "max_output_tokens": value.max_output_tokens,
    }


def _shortfall(action: Action) -> dict[str, Any]:
    stage = {"stage": str(action.stage), "lines": action.lines, "wanted": action.wanted}
    return {"kind": str(action.kind), "resource": str(action.resource), **stage}


def _action(action: Action, plan_: Plan) -> dict[str, Any]:
    fields = {
        "live_name": action.live_name if _is_revised(action) else None,
        "lines": action.lines,
        "wanted": action.wanted,
        "expected": action.expected,
        "message": action.message or None,
        "dependency": True if action.resource in plan_.drawn_in else None,
    }
    return {
        "action": str(action.verb),
        "kind": str(action.kind),
        "resource": str(action.resource),
        "stage": str(action.stage) if action.stage else None,
        "reason": str(action.reason),
        "destructive": action.destructive,
        "diff": [{"path": d.path, "old": d.old, "new": d.new} for d in action.diff],
        **{key: item for key, item in fields.items() if item is not None},
    }
