"""What the options of a command make of a plan. Reads nothing, and knows no API."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.core.limits import MAX_DELETIONS, PARALLELISM
from reconciler.core.planning import compute_plan
from reconciler.core.planning.gates import refuse_many_deletions

if TYPE_CHECKING:
    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.plan import Plan


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What shapes a plan. ``max_trajectories`` narrows the budget of the project."""

    prune: bool = False
    max_deletions: int = MAX_DELETIONS
    max_trajectories: int | None = None
    parallelism: int = PARALLELISM


def planned(
    desired: Desired, observed: Observed, lock: Lock | None, api_url: str, options: PlanOptions
) -> Plan:
    """Return the plan for what was observed, as the options shape it."""
    found = compute_plan(
        within(desired, options), observed, lock, api_url=api_url, prune=options.prune
    )
    return refuse_many_deletions(found, options.max_deletions)


def within(desired: Desired, options: PlanOptions) -> Desired:
    """Narrow the budget of the project by that of the command line."""
    budget, limit = desired.max_new_trajectories, options.max_trajectories
    if limit is None or (budget is not None and budget <= limit):
        return desired
    return replace(desired, max_new_trajectories=limit, limited_by="--max-trajectories")
