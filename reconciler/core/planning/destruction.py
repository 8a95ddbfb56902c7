"""The plan of ``destroy``: every declared target that is live, last created first.

Prompts and repos stay, since the API cannot delete them; so does what ``prevent_destroy`` protects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.model.observed import Absent, LiveTarget
from reconciler.core.model.plan import Action, Plan, Reason, Unknown, Verb
from reconciler.core.planning.resources import decide_all, describe_data, unreadable_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.observed import Observed


def compute_destruction(
    desired: Desired, observed: Observed, lock: Lock | None, *, api_url: str
) -> Plan:
    """Return the plan that deletes every declared target in scope."""
    names = decide_all(desired, observed, lock).live_names
    items = [
        item
        for target in reversed(list(desired.targets.values()))
        if target.id not in desired.drawn_in
        for item in _destruction(target, names.get(target.id, target.name), observed)
    ]
    return Plan(
        api_url=api_url,
        actions=tuple(item for item in items if isinstance(item, Action)),
        unknown=tuple(item for item in items if isinstance(item, Unknown)),
        live_names=names,
        destruction=True,
    )


def _destruction(
    target: DesiredTarget, decided: str, observed: Observed
) -> Iterator[Action | Unknown]:
    # What is only about to be created under a name is not live; the old one under its own is.
    for name in dict.fromkeys((decided, target.name)):
        live = observed.target(target.id.called(name))
        if isinstance(live, Absent):
            continue
        why = unreadable_stage(live) if isinstance(live, LiveTarget) else live.why
        if why or not isinstance(live, LiveTarget):
            yield Unknown(target.id, why)
        else:
            yield _action(target, name, live)
        return


def _action(target: DesiredTarget, name: str, live: LiveTarget) -> Action:
    protected = target.policy.prevent_destroy
    return Action(
        Verb.BLOCKED if protected else Verb.DELETE,
        target.id,
        Reason.PREVENT_DESTROY if protected else Reason.DESTROY,
        live_name=name,
        message=describe_data(live),
    )
