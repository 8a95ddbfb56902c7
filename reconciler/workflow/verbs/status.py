"""``status``: live lines against wanted lines. Changes nothing."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler import lockfile
from reconciler.core.planning import compute_plan
from reconciler.core.planning.report import report
from reconciler.workflow import connection
from reconciler.workflow.verbs import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.plan import Plan
    from reconciler.core.planning.report import StatusRow
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place
    from reconciler.workflow.verbs.shared import Looked


@dataclass(frozen=True, slots=True)
class Status:
    """What ``status`` shows: every target, every stage, and the plan that would follow."""

    api_url: str
    rows: tuple[StatusRow, ...]
    plan: Plan


def status(
    place: Place,
    desired: Desired,
    access: Access,
    *,
    looked: Callable[[Looked], object] = lambda _: None,
) -> Status:
    """Return live lines against wanted lines; changes nothing. Tells ``looked`` what that took."""
    with contextlib.closing(statuses(place, desired, access, looked=looked)) as found:
        return next(found)


def statuses(
    place: Place,
    desired: Desired,
    access: Access,
    *,
    looked: Callable[[Looked], object] = lambda _: None,
    read: Callable[[lockfile.Store, str], Lock | None] = shared.read_lock,
) -> Generator[Status]:
    """Yield what ``status`` returns, looked at anew whenever the next one is asked for, for ever.

    The lockfile is ``read`` anew, too. What serves the API is kept running in between.
    """
    store, name = lockfile.Store(place.lockfile), connection.api_name(access, desired)
    lock = read(store, name)
    with connection.connect(place, access, desired) as api:
        while True:
            observed = shared.look(api, desired, lock, looked)
            found = compute_plan(desired, observed, lock, api_url=name)
            yield Status(name, report(desired, observed, found), found)
            lock = read(store, name)
