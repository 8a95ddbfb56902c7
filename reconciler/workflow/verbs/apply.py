"""``apply``: close the gap, wait, write the lockfile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler import lockfile
from reconciler.core.model.events import RunResult
from reconciler.core.planning.gates import refuse_destruction
from reconciler.engine.run import RunOptions
from reconciler.workflow import connection
from reconciler.workflow.verbs import shared
from reconciler.workflow.verbs.planning import PlanOptions, planned
from reconciler.workflow.verbs.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.events import Event
    from reconciler.core.model.plan import Plan
    from reconciler.lockfile import Patience
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place
    from reconciler.workflow.saved import Saved


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """What ``apply`` was asked for.

    ``timeout``, in seconds, bounds reading live state and the run together; the time in which
    somebody thinks about the plan does not count.
    """

    planning: PlanOptions = field(default_factory=PlanOptions)
    wait: bool = True
    timeout: float | None = None
    allow_destroy: bool = False


def apply(
    place: Place,
    desired: Desired,
    access: Access,
    options: ApplyOptions,
    *,
    confirm: Callable[[Plan], bool],
    emit: Callable[[Event], None],
    saved: Saved | None = None,
    patience: Patience | None = None,
    warn: Callable[[str], object] | None = None,
) -> RunResult:
    """Close the gap, wait, write the lockfile; return how that ended.

    ``confirm`` is shown the plan before anything happens, and may decline; before that, ``warn`` is
    told which outputs are old. With a ``saved`` plan, raises StalePlanError unless exactly that
    would be done. An interrupt leaves everything known in the lockfile.
    """
    store = lockfile.Store(place.lockfile)
    name = connection.api_name(access, desired)
    clock = connection.SystemClock()
    with lockfile.hold(place.root, patience), connection.connect(place, access, desired) as api:
        lock = shared.read_lock(store, name)
        store.require_writable()
        parallelism = options.planning.parallelism
        begun = clock.now()
        observed, looked = shared.run(
            shared.observe_within(options.timeout, api, desired, lock, parallelism)
        )
        found = planned(desired, observed, lock, name, options.planning)
        if saved:
            from reconciler.workflow.saved import require_same

            require_same(saved, found)
        if warn and lock and lock.has_outputs:
            from reconciler.workflow.verbs.outputs import Outputs

            outputs = Outputs(api, place, parallelism, warn)
            looked += outputs.tell(desired, observed, lock, found)
        if not options.allow_destroy:
            found = refuse_destruction(found, desired)
        spent = clock.now() - begun
        if not confirm(found):
            return RunResult((), declined=True)
        how = RunOptions(
            api.pace,
            parallelism,
            options.wait,
            options.timeout and max(0.0, options.timeout - spent),
            forget_orphans=options.planning.prune,
        )
        work = Work(api, desired, observed, lock, found, store, emit, how)
        return work.carried_out(looked)
