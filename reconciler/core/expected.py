"""How many lines a live stage would hold if all went well: what was seen goes before arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import COMPLETE, LiveStage
from reconciler.core.quantities import rollout_reach

if TYPE_CHECKING:
    from reconciler.core.model.desired import DesiredTarget
    from reconciler.core.model.observed import LiveTarget


def expected_lines(target: DesiredTarget, stage: Stage, live: LiveTarget) -> int | None:
    """Return how many lines a stage of a live target would hold if all went well."""
    if stage is Stage.STIM:
        return target.stim.reach
    seen, stim = live.stages.get(Stage.ROLLOUT), live.stages.get(Stage.STIM)
    if isinstance(seen, LiveStage) and seen.expected is not None:
        return seen.expected
    if isinstance(stim, LiveStage) and stim.status == COMPLETE and stim.lines:
        return rollout_reach(stim.lines, {**live.config, **target.config})
    return target.rollout.reach
