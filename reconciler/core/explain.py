"""Why an action is planned, as a sentence for people. Never for a terminal in particular."""

from __future__ import annotations

from reconciler.core.model.plan import Action, Reason, Verb

_SENTENCES = {
    Reason.MISSING: "does not exist yet",
    Reason.NOT_IN_LOCKFILE: "exists already as declared",
    Reason.CONFIG_CHANGED: "the live config differs and is immutable",
    Reason.CONTENT_CHANGED: "the live content differs and is immutable",
    Reason.BASE_MODEL_CHANGED: "the live base model differs and is immutable",
    Reason.NOT_STARTED: "never run",
    Reason.AFTER_STIM: "after stim",
    Reason.IN_PROGRESS: "in progress",
    Reason.UNKNOWN_STATUS: "in an unknown state",
    Reason.FAILED: "failed, to be tried again",
    Reason.RETRIES_EXHAUSTED: "failed, and policy.retries allows no further attempt",
    Reason.SHORTFALL: "complete with fewer lines than wanted",
    Reason.SHORTFALL_ACCEPTED: "complete with fewer lines than wanted, accepted by policy",
    Reason.ORPHAN: "no manifest declares it any more",
    Reason.DESTROY: "asked for",
    Reason.PREVENT_DESTROY: "policy.prevent_destroy protects it",
    Reason.DESTROY_NOT_ALLOWED: "deleting needs --allow-destroy",
    Reason.TOO_MANY_DELETIONS: "more deletions than allowed at once",
    Reason.NOT_SELECTED: "it would have to be replaced, but was not selected",
    Reason.DEPENDENCY_BLOCKED: "something it needs is blocked",
    Reason.REFERENCE_MISSING: "something it needs does not exist",
    Reason.BUDGET_EXCEEDED: "over budget",
    Reason.CONVERGED: "as declared",
}
_NEXT = {
    Reason.CONFIG_CHANGED: "Set policy.on_change to revise or replace, or undo the change.",
    Reason.CONTENT_CHANGED: "Set policy.on_change to revise, or undo the change.",
    Reason.BASE_MODEL_CHANGED: "Declare another repo for another base model.",
    Reason.RETRIES_EXHAUSTED: "Mend the cause, then raise policy.retries.",
    Reason.SHORTFALL: "Lower min_lines, or set policy.on_shortfall to accept or replace.",
    Reason.PREVENT_DESTROY: (
        "Declare it with policy.prevent_destroy: false and apply; then --allow-destroy deletes it."
    ),
    Reason.TOO_MANY_DELETIONS: "Check that nothing is missing, then raise --max-deletions.",
    Reason.DESTROY_NOT_ALLOWED: "Apply with --allow-destroy if that is meant.",
    Reason.NOT_SELECTED: "Select it as well, or undo the change.",
    Reason.BUDGET_EXCEEDED: "Raise the budget, or apply fewer targets at once.",
}


def reason_sentence(action: Action) -> str:
    """Return why an action is planned, without what could be done about it."""
    return _SENTENCES[action.reason]


def next_step(reason: Reason) -> str:
    """Return what a person can do about what blocks, if that can be said."""
    return _NEXT.get(reason, "")


def advice(action: Action) -> str:
    """Return what a person can do about an action, if it is blocked and that can be said."""
    return next_step(action.reason) if action.verb is Verb.BLOCKED else ""


def explain(action: Action) -> str:
    """Return everything there is to say about an action but its diff, as one line."""
    fields = ", ".join(diff.path for diff in action.diff)
    hint = advice(action)
    parts = (
        f"{reason_sentence(action)} ({fields})" if fields else reason_sentence(action),
        f": {action.message}" if action.message else "",
        f". {hint}" if hint else "",
    )
    return "".join(parts)
