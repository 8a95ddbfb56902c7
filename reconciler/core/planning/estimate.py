"""What the runs of a plan would newly produce, and so roughly what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import LiveTarget
from reconciler.core.model.plan import Action, Estimate, Verb
from reconciler.core.planning.candidates import live_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import Observed


def estimates(
    actions: Iterable[Action], desired: Desired, observed: Observed
) -> dict[ResourceId, Estimate]:
    """Return what the runs of each target produce.

    A stage whose yield is untold counts with what is wanted. The bound on tokens is trajectories
    times ``max_tokens``, and None where a target has none.
    """
    found: dict[ResourceId, Estimate] = {}
    for action in actions:
        if action.verb is Verb.RUN:
            before = found.get(action.resource, Estimate())
            found[action.resource] = before + _of_run(action, desired, observed)
    return found


def total(parts: Mapping[ResourceId, Estimate]) -> Estimate:
    """Return the sum of all targets."""
    return sum(parts.values(), Estimate())


def _of_run(action: Action, desired: Desired, observed: Observed) -> Estimate:
    lines = (action.wanted or 0) if action.expected is None else action.expected
    if action.stage is Stage.STIM:
        return Estimate(stim_lines=lines)
    each = _max_tokens(action, desired, observed)
    return Estimate(trajectories=lines, max_output_tokens=None if each is None else lines * each)


def _max_tokens(action: Action, desired: Desired, observed: Observed) -> int | None:
    declared = desired.targets[action.resource].config.get("max_tokens")
    if declared is not None:
        return int(declared)
    live = observed.target(live_address(action))
    bound = live.config.get("max_tokens") if isinstance(live, LiveTarget) else None
    return bound if isinstance(bound, int) else None
