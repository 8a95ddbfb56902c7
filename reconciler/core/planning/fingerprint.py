"""What a plan stands for, as a digest: the same one means that the same thing would be done.

Covers what is declared and what live state calls for, but not how far running jobs have got, for
that changes while a person reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.core.equality import canonical

if TYPE_CHECKING:
    from reconciler.core.model.desired import Desired, DesiredStage, DesiredTarget
    from reconciler.core.model.plan import Action, Plan


def declared(desired: Desired) -> canonical.Digest:
    """Return a digest of everything declared and in scope."""
    return canonical.Digest(
        lambda: {
            "repos": {str(id_): repo.base_model for id_, repo in desired.repos.items()},
            "prompts": {
                str(id_): [prompt.digest, prompt.on_change]
                for id_, prompt in desired.prompts.items()
            },
            "targets": {str(id_): _target(target) for id_, target in desired.targets.items()},
            "max_new_trajectories": desired.max_new_trajectories,
        }
    )


def digest(plan: Plan) -> str:
    """Return the digest of a plan."""
    return canonical.digest(
        {
            "api_url": plan.api_url,
            "declared": str(plan.declared or ""),
            "actions": [_action(action) for action in plan.changes],
            "unknown": [[str(unknown.resource), unknown.why] for unknown in plan.unknown],
        }
    )


def _target(target: DesiredTarget) -> list[Any]:
    policy = target.policy
    return [
        target.digest,
        _stage(target.stim),
        _stage(target.rollout),
        [policy.on_change, policy.on_shortfall, policy.retries, policy.prevent_destroy],
    ]


def _stage(stage: DesiredStage) -> list[Any]:
    return [stage.wanted, stage.min_lines, stage.timeout]


def _action(action: Action) -> list[Any]:
    return [
        action.verb,
        action.kind,
        str(action.resource),
        action.stage,
        action.reason,
        action.live_name,
        [[diff.path, diff.old, diff.new] for diff in action.diff],
    ]
