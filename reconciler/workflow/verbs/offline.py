"""``plan --offline``: what would have to happen if the lockfile told the truth. Asks no API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.planning.gates import refuse_many_deletions
from reconciler.core.planning.offline import compute_offline_plan
from reconciler.lockfile import Store
from reconciler.workflow.access import DEFAULT_URL
from reconciler.workflow.verbs.planning import within

if TYPE_CHECKING:
    from reconciler.core.model.desired import Desired
    from reconciler.core.model.plan import Plan
    from reconciler.workflow.place import Place
    from reconciler.workflow.verbs.planning import PlanOptions


def offline_plan(place: Place, desired: Desired, options: PlanOptions) -> Plan:
    """Return what would have to happen if live state were what the lockfile says; needs no key."""
    lock = Store(place.lockfile).read()
    narrowed = within(desired, options)
    name = lock.api_url if lock else (desired.api_url or DEFAULT_URL)
    found = compute_offline_plan(narrowed, lock, api_url=name, prune=options.prune)
    return refuse_many_deletions(found, options.max_deletions)
