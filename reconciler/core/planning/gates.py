"""What a plan may not do: safety checked on the plan itself, before anything runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.plan import CREATES, Action, Reason, Verb
from reconciler.core.planning.estimate import total
from reconciler.core.planning.resources import blocked_by

if TYPE_CHECKING:
    from reconciler.core.model.desired import Desired
    from reconciler.core.model.plan import Plan


def refuse_destruction(plan: Plan, desired: Desired) -> Plan:
    """Return the plan with everything destructive blocked, and so what would build on it."""
    refused: dict[ResourceId, Action] = {}
    for action in plan.actions:
        target = desired.targets.get(action.resource)
        parent = target.parent if target else None
        if action.destructive:
            blocked = replace(action, verb=Verb.BLOCKED, reason=Reason.DESTROY_NOT_ALLOWED)
            refused[action.resource] = blocked
        elif action.verb in CREATES and parent in refused:
            refused[action.resource] = blocked_by(refused[parent], action.resource)
    if not refused:
        return plan
    kept = (a for a in plan.actions if a.stage is None or a.resource not in refused)
    parts = {id_: part for id_, part in plan.estimates.items() if id_ not in refused}
    return replace(
        plan,
        actions=tuple(refused.get(action.resource, action) for action in kept),
        estimates=parts,
        estimate=total(parts),
    )


def refuse_many_deletions(plan: Plan, most: int) -> Plan:
    """Return the plan with its deletions blocked if there are more of them than ``most``."""
    deletions = plan.count(Verb.DELETE)
    if deletions <= most:
        return plan
    text = f"{deletions} targets would be deleted, --max-deletions allows {most}"
    actions = (
        replace(a, verb=Verb.BLOCKED, reason=Reason.TOO_MANY_DELETIONS, message=text)
        if a.verb is Verb.DELETE
        else a
        for a in plan.actions
    )
    return replace(plan, actions=tuple(actions))


def within_budget(plan: Plan, desired: Desired) -> Plan:
    """Return the plan, led by a refusal of the whole if it would generate too much."""
    limit, planned = desired.max_new_trajectories, plan.estimate.trajectories
    if limit is None or planned <= limit:
        return plan
    project = ResourceId(Kind.PROJECT, desired.project or "project")
    text = f"{planned:,} new trajectories planned, {limit:,} allowed by {desired.limited_by}"
    refusal = Action(Verb.BLOCKED, project, Reason.BUDGET_EXCEEDED, message=text)
    return replace(plan, actions=(refusal, *plan.actions))
