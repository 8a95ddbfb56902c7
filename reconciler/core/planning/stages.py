"""What to do about one stage of an existing target: the table of the contract, row by row.

The plan and the executor ask the same function, so that what was shown is what is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.model.desired import DesiredStage, OnShortfall, Policy
from reconciler.core.model.observed import COMPLETE, FAILED, IN_PROGRESS, NOT_STARTED, LiveStage
from reconciler.core.model.plan import Reason, Verb

if TYPE_CHECKING:
    from reconciler.core.model.desired import DesiredTarget, Stage
    from reconciler.core.model.lock import LockedTarget

_ON_SHORTFALL = {
    OnShortfall.FAIL: (Verb.BLOCKED, Reason.SHORTFALL),
    OnShortfall.ACCEPT: (Verb.UNCHANGED, Reason.SHORTFALL_ACCEPTED),
    OnShortfall.REPLACE: (Verb.REPLACE, Reason.SHORTFALL),
}


@dataclass(frozen=True, slots=True)
class StageDecision:
    """What to do about a stage, and why."""

    verb: Verb
    reason: Reason
    message: str = ""

    @property
    def satisfied(self) -> bool:
        """Whether what comes after this stage may begin."""
        return self.verb is Verb.UNCHANGED


def decide(want: DesiredStage, live: LiveStage, attempts: int, policy: Policy) -> StageDecision:
    """Return what to do about a wanted stage, given how often it was run after failing."""
    if live.status == NOT_STARTED:
        return StageDecision(Verb.RUN, Reason.NOT_STARTED)
    if live.status == FAILED:
        return _after_failure(live, attempts, policy)
    if live.status == COMPLETE and (live.lines is not None or want.min_lines == 0):
        return _after_completion(want, live.lines or 0, policy)
    if live.status in IN_PROGRESS:
        return StageDecision(Verb.WAIT, Reason.IN_PROGRESS)
    return StageDecision(Verb.WAIT, Reason.UNKNOWN_STATUS, _unknown(live))


def failed_attempts(locked_attempts: int) -> int:
    """Return how often a failed stage has been run: once at least, whatever the lockfile knows."""
    return max(locked_attempts, 1)


def attempts_of(
    locked: LockedTarget | None, target: DesiredTarget, live_name: str, stage: Stage
) -> int:
    """Return the attempts recorded for a stage; another config or revision starts afresh."""
    seen = locked.stages.get(stage) if locked else None
    # Only few have attempts, and a digest is not made for the others.
    return seen.attempts if seen and seen.attempts and is_of(locked, target, live_name) else 0


def is_of(locked: LockedTarget | None, target: DesiredTarget, live_name: str) -> bool:
    """Tell whether an entry records this very config under this live name."""
    return locked is not None and (locked.live_name, locked.digest) == (live_name, target.digest)


def _after_failure(live: LiveStage, attempts: int, policy: Policy) -> StageDecision:
    sentence = live.error or "the service gives no reason"
    if failed_attempts(attempts) <= policy.retries:
        return StageDecision(Verb.RUN, Reason.FAILED, sentence)
    return StageDecision(Verb.BLOCKED, Reason.RETRIES_EXHAUSTED, sentence)


def _after_completion(want: DesiredStage, lines: int, policy: Policy) -> StageDecision:
    if lines >= want.min_lines:
        return StageDecision(Verb.UNCHANGED, Reason.CONVERGED)
    return StageDecision(*_ON_SHORTFALL[policy.on_shortfall])


def _unknown(live: LiveStage) -> str:
    if live.status == COMPLETE:
        return "the service calls it complete, but reports no line count"
    return f'the service reports the status "{live.status}", which is not documented'
