"""Where every target stands: live lines against wanted lines, per stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.expected import expected_lines
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import NOT_STARTED, Absent, LiveStage, LiveTarget
from reconciler.core.model.plan import Verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.plan import Plan

#: What stands for the status of a stage that has none to show.
NOT_WANTED, MISSING, UNKNOWN = "not wanted", "missing", "unknown"


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage in a status table; ``settled`` when it is as wanted."""

    status: str
    lines: int | None = None
    expected: int | None = None
    wanted: int | None = None
    settled: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One target in a status table."""

    resource: ResourceId
    live_name: str
    stages: Mapping[Stage, StageRow]
    blocked: bool = False


def report(desired: Desired, observed: Observed, plan: Plan) -> tuple[StatusRow, ...]:
    """Return a row for every declared target, in the order of their names."""
    unsettled = _unsettled(plan)
    blocked = {action.resource for action in plan.blocked}
    return tuple(
        StatusRow(
            id_,
            plan.live_names.get(id_, id_.name),
            {
                stage: _row(
                    target,
                    stage,
                    observed,
                    plan.live_names.get(id_, id_.name),
                    settled=(id_, stage) not in unsettled,
                )
                for stage in Stage
            },
            blocked=id_ in blocked,
        )
        for id_, target in sorted(desired.targets.items())
    )


def _unsettled(plan: Plan) -> set[tuple[ResourceId, Stage]]:
    """Return the stages that something is still to be done about: a rollout when its stim is."""
    whole: set[tuple[ResourceId, Stage | None]] = {(it.resource, None) for it in plan.unknown}
    whole |= {(a.resource, a.stage) for a in plan.changes if a.verb is not Verb.ADOPT}
    rollouts = {(id_, Stage.ROLLOUT) for id_, _ in whole}
    return rollouts | {(id_, Stage.STIM) for id_, stage in whole if stage is not Stage.ROLLOUT}


def _row(
    target: DesiredTarget, stage: Stage, observed: Observed, live_name: str, *, settled: bool
) -> StageRow:
    want = target.stage(stage)
    if not want.wanted:
        return StageRow(NOT_WANTED, settled=True)
    live = observed.target(target.id.called(live_name))
    if isinstance(live, Absent):
        return StageRow(MISSING, 0, want.reach, want.min_lines)
    if not isinstance(live, LiveTarget):
        return StageRow(UNKNOWN, wanted=want.min_lines)
    expected = expected_lines(target, stage, live)
    seen = live.stages.get(stage, LiveStage(NOT_STARTED, 0))
    if not isinstance(seen, LiveStage):
        return StageRow(UNKNOWN, None, expected, want.min_lines)
    return StageRow(seen.status, seen.lines, expected, want.min_lines, settled, seen.error)
