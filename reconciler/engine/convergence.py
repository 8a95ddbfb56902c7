"""Bring one target to its wanted state: look, ask the core what to do, do it, look again.

A job is asked for only after live state was seen to allow it; a request whose answer was lost is
never repeated blindly, but followed by another look.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core import durations
from reconciler.core.errors import (
    ApiError,
    AuthenticationError,
    ExitCode,
    PaymentRequiredError,
    UnreachableError,
)
from reconciler.core.expected import expected_lines
from reconciler.core.explain import next_step
from reconciler.core.model.desired import Stage
from reconciler.core.model.events import Event, EventKind
from reconciler.core.model.observed import FAILED, IN_PROGRESS, NOT_STARTED, LiveStage
from reconciler.core.model.plan import Reason, Verb
from reconciler.core.planning import stages
from reconciler.core.planning.record import locked_target
from reconciler.core.planning.stages import StageDecision
from reconciler.engine.pacing import Forecast, progress_of
from reconciler.engine.run import say

if TYPE_CHECKING:
    from reconciler.core.model.desired import DesiredTarget
    from reconciler.core.model.events import Outcome
    from reconciler.core.model.observed import LiveTarget
    from reconciler.engine.run import Run

#: How long, in seconds, live state may stay unreadable before waiting for it is given up.
PATIENCE = 60.0
_REPLACED_NEXT = "The next `apply --allow-destroy` replaces the target."


async def converge(run: Run, target: DesiredTarget, live: LiveTarget, live_name: str) -> Outcome:
    """Drive stim, then rollout; return how that ended. Raises AuthenticationError."""
    subject = _Subject(run, target, live, live_name)
    for stage in Stage:
        if not target.stage(stage).wanted:
            break
        drive = _Drive(run, subject, stage)
        try:
            ended = await drive.drive()
        except AuthenticationError as error:
            subject.put_on_record()
            run.is_broken_off = True
            run.end(target.id, error.exit_code, say(error), stage)
            raise
        except asyncio.CancelledError:
            subject.put_on_record()
            run.is_broken_off |= not run.timer.expired()
            drive.cut_off()
            raise
        except PaymentRequiredError as error:
            run.out_of_credits = say(error)
            ended = run.end(target.id, ExitCode.BLOCKED, say(error), stage)
        except ApiError as error:
            ended = run.end(target.id, ExitCode.ERROR, say(error), stage)
        if ended:
            return ended
    return run.end(target.id, ExitCode.OK)


def cut_off(run: Run, target: DesiredTarget, live: LiveTarget, live_name: str) -> Outcome:
    """End a target that nobody got to before the run was over."""
    subject = _Subject(run, target, live, live_name)
    for stage in Stage:
        drive = _Drive(run, subject, stage)
        if target.stage(stage).wanted and not drive.is_over():
            return drive.cut_off()
    return run.end(target.id, ExitCode.OK)


class _Subject:
    """A target under way: what is wanted of it, what was seen, what is on record."""

    def __init__(self, run: Run, target: DesiredTarget, live: LiveTarget, live_name: str) -> None:
        self.target = target
        self.live_name = live_name
        self._run = run
        self._live = live

    def known(self, stage: Stage) -> LiveStage | None:
        """Return what was seen of a stage already, if it could be read."""
        seen = self._live.stages.get(stage)
        return seen if isinstance(seen, LiveStage) else None

    def expected(self, stage: Stage) -> int | None:
        """Return how many lines a stage holds when all goes well."""
        return expected_lines(self.target, stage, self._live)

    def attempts(self, stage: Stage) -> int:
        """Return the attempts on record for a stage."""
        locked = self._run.keeper.targets.get(self.target.id)
        return stages.attempts_of(locked, self.target, self.live_name, stage)

    def count_attempt(self, stage: Stage) -> int:
        """Count one more attempt, on disk before the job is asked for; return the new count."""
        attempts = stages.failed_attempts(self.attempts(stage)) + 1
        self._run.keeper.count_attempt(self.target.id, stage, attempts)
        return attempts

    def take_back_attempt(self, stage: Stage) -> None:
        """Uncount an attempt that the API refused outright, so that it was none."""
        attempts = self.attempts(stage) - 1
        self._run.keeper.count_attempt(self.target.id, stage, attempts)

    def saw(self, stage: Stage, seen: LiveStage) -> None:
        """Keep an observation in mind."""
        self._live = replace(self._live, stages={**self._live.stages, stage: seen})

    def put_on_record(self) -> None:
        """Bring what was seen last into the lockfile."""
        old = self._run.keeper.targets.get(self.target.id)
        entry = locked_target(self.target, self.live_name, self._live, old)
        self._run.keeper.put_target(self.target.id, entry)


class _Outage:
    """A time during which something cannot be reached."""

    def __init__(self) -> None:
        self._since: float | None = None
        self.is_new = False

    def lasts(self, now: float) -> float:
        """Note that it is not over; return the seconds since it began."""
        self.is_new = self._since is None
        self._since = now if self._since is None else self._since
        return now - self._since

    def over(self) -> None:
        """Note that it is over."""
        self._since = None


class _Drive:
    """One stage being driven to completion, within its timeout."""

    def __init__(self, run: Run, subject: _Subject, stage: Stage) -> None:
        self._run = run
        self._subject = subject
        self._stage = stage
        self._want = subject.target.stage(stage)
        self._begun = run.clock.now()
        self._forecast = Forecast(self._begun, from_beginning=False)
        self._asked: float | None = None
        self._unreadable = _Outage()
        self._unstartable = _Outage()
        self._acted = False
        #: Whether a start was asked for of which nobody has heard yet.
        self._is_unanswered = False
        self._told: tuple[int | None, float | None] | None = None

    async def drive(self) -> Outcome | None:
        """Return None once what follows may begin, else how the target ended."""
        seen = self._subject.known(self._stage)
        if self._decide(seen).verb in {Verb.RUN, Verb.WAIT}:
            # What the plan saw may be old by now, and nothing is started on hearsay.
            seen = await self._look()
        while True:
            decision = self._decide(seen)
            if decision.satisfied:
                self._complete(seen, decision)
                return None
            if decision.verb is Verb.RUN and seen is not None:
                refusal = self._may_not_start()
                if refusal:
                    return refusal
                seen = await self._start(seen, decision)
                if self._run.options.wait and seen and seen.status != NOT_STARTED:
                    continue
            elif decision.verb is not Verb.WAIT:
                return self._blocked(seen, decision)
            ended = self._out_of_time(seen)
            if ended:
                return ended
            await self._pause()
            seen = await self._look()

    def is_over(self) -> bool:
        """Tell whether nothing is left to do, going by what was seen last."""
        return self._decide(self._subject.known(self._stage)).satisfied

    def cut_off(self) -> Outcome:
        """End the target where it is, for the run is over."""
        seen = self._subject.known(self._stage)
        if self._is_unanswered:
            return self._pending(f"asked to start, but not answered: {self._run.why_over}", seen)
        if seen and self._decide(seen).verb is Verb.WAIT:
            return self._not_complete(seen)
        return self._not_started(self._run.why_over)

    def _may_not_start(self) -> Outcome | None:
        """Return how the target ends if nothing may be started any more."""
        if self._run.out_of_credits or self._run.clock.now() >= self._deadline():
            return self._not_started("the time is up")
        return None

    def _not_started(self, why: str) -> Outcome:
        if self._run.out_of_credits:
            return self._end(ExitCode.BLOCKED, self._run.out_of_credits)
        return self._end(ExitCode.PENDING, f"not started: {why}")

    def _decide(self, seen: LiveStage | None) -> StageDecision:
        if seen is None:
            return StageDecision(Verb.WAIT, Reason.UNKNOWN_STATUS)
        attempts = self._subject.attempts(self._stage)
        return stages.decide(self._want, seen, attempts, self._subject.target.policy)

    async def _look(self) -> LiveStage | None:
        """Look at the job; None when live state cannot be read for now."""
        target, asked = self._subject.target, self._run.clock.now()
        try:
            seen = await self._run.api.stage(target.repo, self._subject.live_name, self._stage)
        except UnreachableError as error:
            self._bear(self._unreadable, error)
            return None
        self._unreadable.over()
        return self._noted(seen, asked)

    def _bear(self, outage: _Outage, error: UnreachableError) -> None:
        """Let an outage pass, but not for ever: raises the error once patience has run out."""
        if outage.lasts(self._run.clock.now()) > PATIENCE:
            raise error
        if outage.is_new:
            self._tell(EventKind.WARNING, message=error.message)

    def _noted(self, seen: LiveStage, asked: float) -> LiveStage:
        before = self._subject.known(self._stage)
        self._subject.saw(self._stage, seen)
        self._is_unanswered = False
        if before is None or before.status != seen.status:
            self._unstartable.over()
            self._subject.put_on_record()
            if seen.status not in IN_PROGRESS:
                self._tell_unknown(seen)
        self._run.keeper.flush()
        now = self._run.clock.now()
        self._forecast.saw(now, progress_of(seen, self._expected(seen)), now - asked)
        self._tell_progress(seen)
        return seen

    def _tell_progress(self, seen: LiveStage) -> None:
        """Tell how far a job is that runs, if it got any further."""
        told = (seen.lines, seen.progress)
        if self._acted and seen.status in IN_PROGRESS and told != self._told:
            self._told = told
            self._tell(EventKind.PROGRESS, seen=seen)

    async def _start(self, seen: LiveStage, decision: StageDecision) -> LiveStage | None:
        """Ask for the job once; None when nobody knows whether that had its effect."""
        attempt = None
        if seen.status == FAILED:
            self._subject.put_on_record()
            self._tell(EventKind.FAILED, message=decision.message)
            attempt = self._subject.count_attempt(self._stage)
        self._acted = True
        self._is_unanswered = True
        target = self._subject.target
        try:
            answer = await self._run.api.run(target.repo, self._subject.live_name, self._stage)
        except UnreachableError as error:
            self._bear(self._unstartable, error)
            return None
        except ApiError:
            if attempt:
                self._subject.take_back_attempt(self._stage)
            raise
        self._asked = self._run.clock.now()
        usual = self._run.experience.shortest(self._stage, self._expected(answer))
        self._forecast = Forecast(self._asked, usual)
        self._told = (answer.lines, answer.progress)
        self._tell(EventKind.STARTED, seen=answer, attempt=attempt)
        return self._noted(answer, self._asked)

    async def _pause(self) -> None:
        now, pace = self._run.clock.now(), self._run.options.pace
        known = self._subject.known(self._stage)
        if not self._acted and known:
            self._acted = True
            self._tell_progress(known)
        end, last_look = self._deadline(), self._run.last_look
        end = min(end, last_look) if now < last_look else end
        await self._run.clock.sleep(min(self._forecast.delay(now, pace), max(0.0, end - now)))

    def _deadline(self) -> float:
        return self._begun + self._want.timeout

    def _out_of_time(self, seen: LiveStage | None) -> Outcome | None:
        if not self._run.options.wait:
            return self._pending("started; not waiting for it", seen)
        if self._run.clock.now() < self._deadline():
            return None
        return self._not_complete(seen)

    def _not_complete(self, seen: LiveStage | None) -> Outcome:
        passed = self._run.clock.now() - self._begun
        return self._pending(f"not complete after {durations.text(passed)}", seen)

    def _pending(self, why: str, seen: LiveStage | None) -> Outcome:
        self._subject.put_on_record()
        count = f" ({_quantity(seen.lines, self._expected(seen))})" if seen and seen.lines else ""
        return self._end(ExitCode.PENDING, why + count)

    def _complete(self, seen: LiveStage | None, decision: StageDecision) -> None:
        self._subject.put_on_record()
        accepted = decision.reason is Reason.SHORTFALL_ACCEPTED
        if accepted and seen:
            text = accepted_shortfall(seen.lines, self._want.min_lines)
            self._tell(EventKind.WARNING, message=text)
        if self._asked is not None:
            took = self._run.clock.now() - self._asked
            self._run.experience.completed(self._stage, took, seen.lines if seen else None)
        if self._acted:
            seconds = self._run.clock.now() - self._begun
            self._tell(EventKind.COMPLETE, seen=seen, seconds=seconds)

    def _blocked(self, seen: LiveStage | None, decision: StageDecision) -> Outcome:
        self._subject.put_on_record()
        lines = seen.lines if seen else None
        if decision.reason is Reason.SHORTFALL:
            text = f"complete with {_quantity(lines, self._want.min_lines)}: fewer than wanted"
        else:
            attempts = stages.failed_attempts(self._subject.attempts(self._stage))
            times = "once" if attempts == 1 else f"{attempts} times"
            text = f"failed {times}: {decision.message}"
        hint = _REPLACED_NEXT if decision.verb is Verb.REPLACE else next_step(decision.reason)
        return self._end(ExitCode.BLOCKED, f"{text}. {hint}")

    def _end(self, code: ExitCode, message: str) -> Outcome:
        return self._run.end(self._subject.target.id, code, message, self._stage)

    def _expected(self, seen: LiveStage | None) -> int | None:
        known = seen.expected if seen else None
        return self._subject.expected(self._stage) if known is None else known

    def _tell_unknown(self, seen: LiveStage) -> None:
        decision = self._decide(seen)
        if decision.reason is Reason.UNKNOWN_STATUS:
            self._tell(EventKind.WARNING, message=f"{decision.message}; waiting")

    def _tell(
        self,
        kind: EventKind,
        *,
        seen: LiveStage | None = None,
        attempt: int | None = None,
        seconds: float | None = None,
        message: str = "",
    ) -> None:
        self._run.emit(
            Event(
                kind,
                self._subject.target.id,
                self._stage,
                lines=seen.lines if seen else None,
                expected=self._expected(seen) if seen else None,
                progress=seen.progress if seen else None,
                attempt=attempt,
                seconds=seconds,
                message=message,
            )
        )


def accepted_shortfall(lines: int | None, wanted: int | None) -> str:
    """Return the warning of a stage that policy takes as it is."""
    return f"{_quantity(lines, wanted)}: fewer than wanted, accepted"


def _quantity(lines: int | None, of: int | None) -> str:
    count = "?" if lines is None else f"{lines:,}"
    return f"{count} lines" if of is None else f"{count} / {of:,} lines"
