"""What a report says, as one value, and the same as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.render import json, status

if TYPE_CHECKING:
    from reconciler.core.model.history import History, Moment
    from reconciler.core.model.plan import Plan
    from reconciler.core.planning.report import StatusRow

FORMAT = "reconciler/report/v1"


@dataclass(frozen=True, slots=True)
class Report:
    """All that a page shows. ``made`` is when that was, in UTC: ``2026-01-31 12:00:00``."""

    project: str
    rows: tuple[StatusRow, ...]
    plan: Plan
    history: History
    made: str


def as_json(report: Report) -> dict[str, Any]:
    """Return a report as one JSON object."""
    return {
        "format": FORMAT,
        "made": report.made,
        "project": report.project,
        "offline": report.plan.offline,
        "status": status.json(report.plan.api_url, report.rows, report.plan),
        "plan": json.plan(report.plan),
        "history": {
            "versions": [_moment(moment) for moment in report.history.moments],
            "notes": list(report.history.notes),
        },
    }


def _moment(moment: Moment) -> dict[str, Any]:
    lines = {str(stage): count for stage, count in moment.lines.items()}
    counts = {"targets": moment.targets, "lines": lines}
    return {"date": moment.date, "commit": moment.commit, **counts}
