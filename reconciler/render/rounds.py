"""Rounds of ``watch``: one line each for people, one JSON object each for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.core import durations
from reconciler.core.errors import ExitCode
from reconciler.core.model.events import EventKind
from reconciler.core.schema.wording import counted
from reconciler.core.watching.rounds import Ending
from reconciler.render import causes, notification
from reconciler.render.style import Style, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.core.model.events import Outcome, RunResult
    from reconciler.core.watching.rounds import Round

_LONGEST = 300
_MOST = 3
_WORST_FIRST = (ExitCode.ERROR, ExitCode.BLOCKED, ExitCode.PENDING)


def line(value: Round, at: str, style: Style) -> str:
    """Return a round as one line; ``at`` is the moment of its end in words."""
    details = value.error or "; ".join(filter(None, (_did(value.activity), _changed(value))))
    told = shorten(details or _trouble(value.result), _LONGEST)
    ending = _paint(value.ending, style)(value.ending)
    took = durations.text(value.seconds)
    waits = f", next in {durations.text(value.next_in)}" if value.next_in else ""
    return f"{at}  {ending}{': ' if told else ''}{told} (in {took}{waits})"


def as_json(value: Round, at: str) -> dict[str, Any]:
    """Return a round as described by ``round.v1.json``."""
    return {
        "event": "round",
        "round": value.number,
        "at": at,
        "ending": str(value.ending),
        "exit_code": int(value.exit_code),
        "seconds": round(value.seconds, 3),
        "next_in": round(value.next_in, 3),
        "requests": value.requests,
        "did": {str(kind): count for kind, count in sorted(value.activity.items())},
        "changes": [notification.transition(it) for it in value.changes],
        **({"error": value.error} if value.error else {}),
    }


def stopped(exit_code: ExitCode, why: str) -> dict[str, Any]:
    """Return the last line of ``watch --format json``."""
    return {"event": "stopped", "exit_code": int(exit_code), "why": why}


def _did(did: Mapping[EventKind, int]) -> str:
    return ", ".join(f"{did[kind]:,} {kind}" for kind in EventKind if kind in did)


def _changed(value: Round) -> str:
    return "; ".join(notification.lines(value.changes, _MOST))


def _trouble(result: RunResult | None) -> str:
    """Return what is still wrong, so that a line is never without its reason."""
    outcomes = result.outcomes if result else ()
    found = [it for code in _WORST_FIRST for it in outcomes if it.code is code]
    why = causes.common(it.message for it in found)
    if len(found) > causes.FEW and why:
        return f"{counted(len(found), 'resource')}: {why}"
    more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
    return f"{_outcome(found[0])}{more}" if found else ""


def _outcome(outcome: Outcome) -> str:
    stage = f" {outcome.stage}" if outcome.stage else ""
    return f"{outcome.resource.kind.lower()} {outcome.resource}{stage}: {outcome.message}"


def _paint(ending: Ending, style: Style) -> Callable[[str], str]:
    if ending is Ending.CONVERGED:
        return style.good
    return style.bad if ending in {Ending.FAILED, Ending.BLOCKED} else style.warn
