"""When to look at a job again: predicted from its progress instead of a fixed interval.

Pure arithmetic on what was seen; the rules of politeness (floor, ceiling, blind share) are data. A
job is taken to progress evenly until it is seen not to. What was counted bounds its end from both
sides, since a count says only that the next line is not there yet, and every look narrows the
bounds. Progress that is not even, or not known to be, only brings looks forward that would come
anyway, so that no job is looked at much more often than one that tells nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.core.model.desired import Stage
    from reconciler.core.model.observed import LiveStage

# How far to trust what is known, chosen by trying jobs of many lengths and shapes: the end of even
# ones is seen within 1 % of their time and in few looks.

#: Blind looks keep this distance, in units of the floor: the 5 s that the API advises.
_BLIND_FLOORS = 5.0
#: The share to let pass of a time in which a job may end at any moment.
_UNSURE = 0.3
#: How far to trust even progress, in units of the time for which it was seen: for every step of it
#: that can be told apart, and for all together.
_TRUSTED, _FARTHEST = 0.3, 1.5
#: Progress that changed its speed tells the end again once it was even for this share of a job's
#: time, and is trusted again beyond the next look once it was uneven for no more than this share.
_EVEN_AGAIN = 0.25
#: No look is closer to the last one than this share of a job's time (or the floor), and an end
#: that is certain to come within twice as much is waited for.
_CLOSE = 0.005
#: What counts as even still: nobody knows to the millisecond when a job began.
_TOLERANCE = 0.02
#: How much of the time that others took passes before one looks.
_OF_OTHERS = 0.9
#: What a percentage may be rounded to, and the smallest step that says anything of the whole.
_PERCENT = 0.01


@dataclass(frozen=True, slots=True)
class Pace:
    """Never poll a job more often than every ``floor`` seconds, nor less than every ``ceiling``.

    ``blind`` is the share of its time after which a job that tells nothing is looked at again, and
    so by how much its end may be seen late.
    """

    floor: float
    ceiling: float
    blind: float


#: The API's official advice is 5–30 s; a second is still polite at the end of a job, where
#: prediction puts its few looks. Looks at a service of one's own cost less than waiting does.
HOSTED = Pace(1.0, 30.0, blind=0.15)
LOOPBACK = Pace(0.02, 10.0, blind=0.08)


@dataclass(frozen=True, slots=True)
class Progress:
    """The share of the work that is done, as far as it is told: between the two, from 0 to 1."""

    least: float
    most: float


def progress_of(seen: LiveStage, expected: int | None) -> Progress | None:
    """Return how far a job is, by its lines and by its percentage; None when it tells neither."""
    told = None if seen.progress is None else min(1.0, max(0.0, seen.progress / 100))
    by_percent = None if told is None else Progress(told, min(1.0, told + _PERCENT))
    if seen.lines is None or not expected:
        return by_percent
    least, most = min(1.0, seen.lines / expected), min(1.0, (seen.lines + 1) / expected)
    if told is not None and least <= told < most:
        return Progress(told, min(most, told + _PERCENT))
    return Progress(least, most)


@dataclass(slots=True)
class Experience:
    """What a run learns from the jobs that it saw from beginning to end."""

    _seconds_per_line: dict[Stage, float] = field(default_factory=dict)

    def completed(self, stage: Stage, seconds: float, lines: int | None) -> None:
        """Take note of a job that took so long for so many lines."""
        if lines:
            best = self._seconds_per_line.get(stage, math.inf)
            self._seconds_per_line[stage] = min(best, seconds / lines)

    def shortest(self, stage: Stage, expected: int | None) -> float:
        """Return the seconds that a job would take at the best speed seen, 0 if none was seen."""
        return self._seconds_per_line.get(stage, 0.0) * (expected or 0)


@dataclass(frozen=True, slots=True)
class _Sight:
    """How far a job was at a moment."""

    now: float
    progress: Progress
    #: For how long it may have been so already when that was known.
    age: float = 0.0


@dataclass(slots=True)
class Forecast:
    """What is known of one running job; times in seconds on one clock.

    ``usual`` is how long such a job takes at least, if that is known. Of a job that ran already
    before ``started``, the first progress seen tells nothing but where it stood.
    """

    started: float
    usual: float = 0.0
    from_beginning: bool = True
    #: Where even progress began.
    _anchor: _Sight = field(init=False)
    _last: _Sight = field(init=False)
    #: Whether the job ever told how far it is.
    _told: bool = False
    #: Sights of progress since the anchor, all of them even.
    _agreeing: int = 0
    _earliest: float = -math.inf
    _latest: float = math.inf

    def __post_init__(self) -> None:
        self._anchor = self._last = _Sight(self.started, Progress(0.0, 0.0))

    def saw(self, now: float, progress: Progress | None, age: float = 0.0) -> None:
        """Take note of how far the job was, ``age`` seconds ago at most."""
        if progress is None:
            return
        sight, before = _Sight(now, progress, age), self._last
        self._last = sight
        if not (self._told or self.from_beginning):
            self._begin_again(sight)
        elif not self._agree(sight):
            grew = progress.least > before.progress.least
            self._begin_again(before if grew else sight)
            self._agree(sight)
        self._told = True

    def delay(self, now: float, pace: Pace) -> float:
        """Return how long to wait before the next look."""
        even, wait = now - self._anchor.now, self._blind(now, pace)
        if self._agreeing > 1 and even >= _EVEN_AGAIN * (now - self.started):
            wait = self._even(now, wait, pace.floor)
        elif self._agreeing:
            wait = min(wait, _UNSURE * max(self._latest - now, wait))
        return min(max(wait, pace.floor), pace.ceiling)

    def _blind(self, now: float, pace: Pace) -> float:
        elapsed = now - self.started
        wait = max(pace.blind * elapsed, _BLIND_FLOORS * pace.floor)
        return max(wait, min(_OF_OTHERS * self.usual - elapsed, elapsed))

    def _even(self, now: float, blind: float, floor: float) -> float:
        """Return the time to the end of an even job, or as much of it as can be trusted."""
        close, rest = _CLOSE * (now - self.started), self._latest - now
        if rest > 2 * max(floor, close):
            rest = max(self._earliest - now, _UNSURE * rest)
            rest = min(rest, max(blind, self._trusted(now)))
        return max(rest, close)

    def _trusted(self, now: float) -> float:
        """Return for how long progress may be taken to go on evenly, unless it just changed.

        The bounds say nothing of that: they are narrow also when a sight hardly agrees with others.
        """
        progress, even = self._last.progress, now - self._anchor.now
        if even < (1 - _EVEN_AGAIN) * (now - self.started):
            return 0.0
        step = max(_PERCENT, progress.most - progress.least)
        steps = (progress.least - self._anchor.progress.least) / step
        return min(_TRUSTED * steps, _FARTHEST) * even

    def _agree(self, sight: _Sight) -> bool:
        """Narrow the bounds of the end by another sight, unless they contradict each other."""
        bounds = _bounds(self._anchor, sight)
        earliest, latest = max(bounds[0], self._earliest), min(bounds[1], self._latest)
        passed, ages = sight.now - self._anchor.now, sight.age + self._anchor.age
        unsure = (_TOLERANCE * passed + ages) * (earliest - self._anchor.now)
        if earliest > latest and (earliest - latest) * passed > unsure:
            return False
        self._earliest, self._latest = earliest, latest
        self._agreeing += sight.progress.least > self._anchor.progress.least
        return True

    def _begin_again(self, anchor: _Sight) -> None:
        self._anchor, self._agreeing = anchor, 0
        self._earliest, self._latest = -math.inf, math.inf


def _bounds(anchor: _Sight, sight: _Sight) -> tuple[float, float]:
    """Return when a job ends, at the earliest and at the latest, that progresses evenly."""
    passed = sight.now - anchor.now
    fastest = sight.progress.most - anchor.progress.least
    slowest = sight.progress.least - anchor.progress.most
    if passed <= 0 or fastest <= 0:
        return sight.now, math.inf
    earliest = sight.now + (1 - sight.progress.most) * passed / fastest
    if slowest <= 0:
        return earliest, math.inf
    return earliest, sight.now + (1 - sight.progress.least) * passed / slowest
