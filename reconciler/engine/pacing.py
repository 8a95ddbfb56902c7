"""When to look at a job again: predicted from its progress instead of a fixed interval.

Pure arithmetic on what was seen; the rules of politeness (floor and ceiling) are data. A job is
taken to progress evenly until it is seen not to. What was counted bounds its end from both sides,
since a count says only that the next line is not there yet, and every look narrows the bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.core.model.desired import Stage
    from reconciler.core.model.observed import LiveStage

# How far to trust what is known, as shares of the time that a job took so far, chosen by trying
# jobs of many lengths and shapes: the end of even ones is seen within 1 % of their time and in few
# looks, that of most others within 10 %.

#: Without any progress to go by.
_BLIND = 0.07
#: The first looks at a job, of which nothing is known yet.
_FIRST, _FIRST_LOOKS = 1.0, 2
#: One sight of progress, which may be anything.
_UNCONFIRMED = 0.45
#: Sights that agree, for every step of progress that was counted, and for all together.
_CONFIRMED, _FARTHEST = 0.3, 4.0
#: At most so long, by how often progress turned out not to be even: it may just have begun late.
_LONGEST = {0: math.inf, 1: 0.3}
_UNEVEN = 0.12
#: Near the end: no closer than this, and no look before the last moment if that is so near.
_CLOSE, _CERTAIN = 0.005, 0.009
#: The share of a predicted rest to let pass while the prediction is not confirmed.
_TRUST = 0.5
#: In units of the floor: blind looks keep this distance, and an end so near is waited for.
_BLIND_FLOORS, _CERTAIN_FLOORS = 2.5, 3.0
#: What counts as even still: nobody knows to the millisecond when a job began.
_TOLERANCE = 0.02
#: How much of the time that others took passes before one looks.
_OF_OTHERS = 0.9


#: What a percentage may be rounded to.
_PERCENT = 0.01


@dataclass(frozen=True, slots=True)
class Pace:
    """Never poll a job more often than every ``floor`` seconds, nor less than ``ceiling``."""

    floor: float
    ceiling: float


#: The API's official advice is 5–30 s; a second is still polite at the end of a job, where
#: prediction puts its few looks.
HOSTED = Pace(1.0, 30.0)
LOOPBACK = Pace(0.02, 10.0)


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
    _looks: int = 0
    #: Where even progress began.
    _anchor: _Sight = field(init=False)
    _last: _Sight = field(init=False)
    _agreeing: int = 0
    _bends: int = 0
    _earliest: float = -math.inf
    _latest: float = math.inf

    def __post_init__(self) -> None:
        self._anchor = self._last = _Sight(self.started, Progress(0.0, 0.0))

    def saw(self, now: float, progress: Progress | None, age: float = 0.0) -> None:
        """Take note of how far the job was, ``age`` seconds ago at most; zero tells nothing."""
        self._looks += 1
        if progress is None or not progress.least:
            return
        sight, before = _Sight(now, progress, age), self._last
        self._last = sight
        stuck = self._uneven and progress.least <= self._anchor.progress.least
        if stuck or (self._looks == 1 and not self.from_beginning):
            self._begin_again(sight)
        elif not self._agree(sight):
            grew = progress.least > before.progress.least
            self._bends += 1 if grew else 2
            self._begin_again(before if grew else sight)
            if grew:
                self._agree(sight)

    def delay(self, now: float, pace: Pace) -> float:
        """Return how long to wait before the next look."""
        elapsed = now - self.started
        wait = self._by_progress(now, elapsed, pace) if self._agreeing else self._blind(now, pace)
        return min(max(wait, pace.floor), pace.ceiling)

    def _by_progress(self, now: float, elapsed: float, pace: Pace) -> float:
        rest, even = self._earliest - now, now - self._anchor.now
        if self._agreeing == 1:
            wait = min(_TRUST * rest, _UNCONFIRMED * even)
        else:
            wait = min(rest, min(_CONFIRMED * self._steps(), _FARTHEST) * even)
            if self._latest - now <= max(_CERTAIN_FLOORS * pace.floor, _CERTAIN * elapsed):
                wait = self._latest - now
        return max(min(wait, _LONGEST.get(self._bends, _UNEVEN) * elapsed), _CLOSE * elapsed)

    def _steps(self) -> float:
        """Return how many of the smallest steps that can be told apart were made evenly.

        The bounds say nothing of that: they are narrow also when a sight hardly agrees with others.
        """
        progress = self._last.progress
        step = progress.most - progress.least
        return (progress.least - self._anchor.progress.least) / step if step else math.inf

    def _blind(self, now: float, pace: Pace) -> float:
        elapsed = now - self.started
        share = _FIRST if self._looks < _FIRST_LOOKS else _BLIND
        wait = max(share * elapsed, _BLIND_FLOORS * pace.floor)
        return max(wait, min(_OF_OTHERS * self.usual - elapsed, elapsed))

    def _agree(self, sight: _Sight) -> bool:
        """Narrow the bounds of the end by another sight; return whether there is still one."""
        bounds = _bounds(self._anchor, sight)
        earliest, latest = max(bounds[0], self._earliest), min(bounds[1], self._latest)
        if earliest > latest:
            passed = sight.now - self._anchor.now
            unsure = _TOLERANCE + (sight.age + self._anchor.age) / passed if passed else math.inf
            if earliest - latest > unsure * (earliest - self._anchor.now):
                return False
            earliest, latest = bounds
        self._earliest, self._latest = earliest, latest
        self._agreeing += 1
        return True

    @property
    def _uneven(self) -> bool:
        """Tell whether progress stopped or changed its speed; that it began late is no change."""
        return self._bends > 1

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
