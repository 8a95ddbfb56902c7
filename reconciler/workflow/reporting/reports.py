"""What a report is made of: where targets stand, what would be done, and how counts grew.

Changes nothing but the file that a report is saved to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.errors import ReconcilerError
from reconciler.core.planning.report import report as rows_of
from reconciler.render.report.content import Report
from reconciler.workflow.reporting import history
from reconciler.workflow.verbs.offline import offline_plan
from reconciler.workflow.verbs.planning import PlanOptions
from reconciler.workflow.verbs.status import status

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.plan import Plan
    from reconciler.core.planning.report import StatusRow
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place
    from reconciler.workflow.verbs.shared import Looked


def live(
    place: Place,
    desired: Desired,
    access: Access,
    now: datetime,
    *,
    looked: Callable[[Looked], object] = lambda _: None,
) -> Report:
    """Return a report of live state; raises what ``status`` raises."""
    found = status(place, desired, access, looked=looked)
    return _report(place, desired, found.rows, found.plan, now)


def offline(place: Place, desired: Desired, now: datetime) -> Report:
    """Return a report of what the lockfile says; needs no key, and asks nobody."""
    from reconciler.core.planning.offline import observed_from
    from reconciler.lockfile import Store

    plan = offline_plan(place, desired, PlanOptions())
    lock = Store(place.lockfile).read()
    rows = rows_of(desired, observed_from(desired, lock), plan)
    return _report(place, desired, rows, plan, now)


def _report(
    place: Place, desired: Desired, rows: tuple[StatusRow, ...], plan: Plan, now: datetime
) -> Report:
    seen = history.read(place.lockfile, without=desired.out_of_scope | desired.drawn_in)
    made = now.strftime("%Y-%m-%d %H:%M:%S")
    name = desired.project or place.root.resolve().name or "project"
    return Report(name, rows, plan, seen, made)


def save(text: str, path: Path) -> None:
    """Write a report to a file, atomically; raises ReconcilerError where that fails."""
    from reconciler.lockfile import replace_file

    try:
        replace_file(path, text)
    except OSError as error:
        raise ReconcilerError(f"cannot write {path}: {error.strerror}") from error
