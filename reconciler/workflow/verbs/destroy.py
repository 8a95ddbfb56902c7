"""``destroy``: delete what is declared and selected, if that is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import lockfile
from reconciler.core.model.events import RunResult
from reconciler.core.planning.destruction import compute_destruction
from reconciler.core.planning.gates import refuse_destruction
from reconciler.engine.run import RunOptions
from reconciler.workflow import connection
from reconciler.workflow.verbs import shared
from reconciler.workflow.verbs.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.events import Event
    from reconciler.core.model.plan import Plan
    from reconciler.lockfile import Patience
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place


def destroy(
    place: Place,
    desired: Desired,
    access: Access,
    *,
    allow_destroy: bool,
    confirm: Callable[[Plan], bool],
    emit: Callable[[Event], None],
    patience: Patience | None = None,
) -> RunResult:
    """Delete the declared targets in scope; return how that ended.

    Nothing is deleted unless ``allow_destroy`` is given and ``policy.prevent_destroy`` is false.
    """
    store = lockfile.Store(place.lockfile)
    name = connection.api_name(access, desired)
    with lockfile.hold(place.root, patience), connection.connect(place, access, desired) as api:
        lock = shared.read_lock(store, name)
        store.require_writable()
        observed, looked = shared.run(shared.observe(api, desired, lock))
        planned = compute_destruction(desired, observed, lock, api_url=name)
        if not allow_destroy:
            planned = refuse_destruction(planned, desired)
        if not confirm(planned):
            return RunResult((), declined=True, destruction=True)
        how = RunOptions(api.pace)
        work = Work(api, desired, observed, lock, planned, store, emit, how)
        return work.carried_out(looked)
