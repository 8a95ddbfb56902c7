"""``refresh``: the lockfile rewritten from live state. Changes nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import lockfile
from reconciler.core.errors import UnreachableError
from reconciler.core.planning import compute_plan
from reconciler.core.planning.record import record
from reconciler.workflow import connection
from reconciler.workflow.verbs import shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.plan import Plan
    from reconciler.lockfile import Patience, Store
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place
    from reconciler.workflow.verbs.shared import Looked


def refresh(
    place: Place,
    desired: Desired,
    access: Access,
    patience: Patience | None = None,
    *,
    looked: Callable[[Looked], object] = lambda _: None,
) -> bool:
    """Rewrite the lockfile from live state; return whether its bytes changed.

    A lockfile with conflict markers is rebuilt once all can be read, with what only its sides know,
    unless they only know another API; any other unusable one raises.
    What cannot be read keeps its old entry, and raises UnreachableError when all else is written.
    Tells ``looked`` what it took to see live state.
    """
    store = lockfile.Store(place.lockfile)
    name = connection.api_name(access, desired)
    with lockfile.hold(place.root, patience):
        lock, is_torn = _read_or_salvage(store, name, desired)
        store.require_writable()
        with connection.connect(place, access, desired) as api:
            observed = shared.look(api, desired, lock, looked)
        found = record(desired, observed, lock, api_url=name)
        planned = compute_plan(desired, observed, lock, api_url=name)
        # Nothing takes the place of what cannot be read, or of a file that was never there.
        is_worse = planned.unknown and (is_torn or (lock is None and not found.ids()))
        changed = not is_worse and store.write(found)
        _require_all_read(planned)
        return changed


def _read_or_salvage(store: Store, api_url: str, desired: Desired) -> tuple[Lock | None, bool]:
    """Return what the lockfile records, and whether it has conflict markers."""
    try:
        return shared.read_lock(store, api_url), False
    except lockfile.ConflictMarkersError as error:
        from reconciler.lockfile.merge import salvage

        saved = salvage(error.text, api_url, desired.digests())
        shared.require_this_api(store, saved, api_url)
        return saved, True


def _require_all_read(found: Plan) -> None:
    if not found.unknown:
        return
    first, *others = found.unknown
    more = f" (and {len(others)} more)" if others else ""
    raise UnreachableError(
        f"{first.resource}: {first.why}{more}",
        hint="The lockfile keeps what it said of what could not be read; run `refresh` again.",
    )
