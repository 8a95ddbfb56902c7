"""``pull``: outputs as files, their digests in the lockfile; or the two compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import lockfile
from reconciler.workflow import connection
from reconciler.workflow.pulling import downloads
from reconciler.workflow.verbs import shared

if TYPE_CHECKING:
    from reconciler.core.model.desired import Desired, Stage
    from reconciler.core.model.outputs import PullResult
    from reconciler.lockfile import Patience
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place
    from reconciler.workflow.pulling.downloads import PullOptions, Watcher


def pull(
    place: Place,
    desired: Desired,
    access: Access,
    options: PullOptions,
    watcher: Watcher,
    patience: Patience | None = None,
) -> PullResult:
    """Download outputs and record their digests; return how it went with each.

    An interrupt leaves what was downloaded so far, from which the next time goes on.
    """
    store = lockfile.Store(place.lockfile)
    name = connection.api_name(access, desired)
    with lockfile.hold(place.root, patience), connection.connect(place, access, desired) as api:
        lock = shared.read_lock(store, name)
        store.require_writable()
        return shared.run(downloads.pull(api, place.root, desired, lock, store, options, watcher))


def check_outputs(
    place: Place, desired: Desired, access: Access, stages: tuple[Stage, ...], watcher: Watcher
) -> PullResult:
    """Compare live outputs with the digests recorded; changes nothing."""
    lock = shared.read_lock(lockfile.Store(place.lockfile), connection.api_name(access, desired))
    with connection.connect(place, access, desired) as api:
        return shared.run(downloads.check(api, desired, lock, stages, watcher))
