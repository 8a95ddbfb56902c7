"""``plan``: what would have to happen. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import lockfile
from reconciler.workflow import connection
from reconciler.workflow.verbs import shared
from reconciler.workflow.verbs.planning import planned

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.plan import Plan
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place
    from reconciler.workflow.verbs.planning import PlanOptions


def plan(
    place: Place,
    desired: Desired,
    access: Access,
    options: PlanOptions,
    *,
    warn: Callable[[str], object] | None = None,
) -> Plan:
    """Return what would have to happen; changes nothing. Tells ``warn`` which outputs are old."""
    lock = shared.read_lock(lockfile.Store(place.lockfile), connection.api_name(access, desired))
    with connection.connect(place, access, desired) as api:
        observed, _ = shared.run(shared.observe(api, desired, lock, options.parallelism))
        found = planned(desired, observed, lock, api.name, options)
        if warn and lock and lock.has_outputs:
            from reconciler.workflow.verbs.outputs import Outputs

            outputs = Outputs(api, place, options.parallelism, warn)
            outputs.tell(desired, observed, lock, found)
        return found
