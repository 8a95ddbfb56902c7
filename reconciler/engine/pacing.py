"""When to look at a job again: predicted from its progress instead of a fixed interval.

Pure arithmetic on what was seen; the rules of politeness (floor and ceiling) are data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.core.model.desired import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The share of the predicted rest to let pass: a prediction is a guess, and shorter steps near the
#: end cost few requests.
_TRUST = 0.8
#: Without any progress to go by, look again after this share of the time already waited.
_BLIND_GROWTH = 0.15


@dataclass(frozen=True, slots=True)
class Pace:
    """Never poll a job more often than every ``floor`` seconds, nor less than ``ceiling``."""

    floor: float
    ceiling: Mapping[Stage, float]


#: The API's official advice: 5–10 s for stim, 10–30 s for rollout; a second is still polite at the
#: end of a job, where prediction puts most looks.
HOSTED = Pace(1.0, {Stage.STIM: 10.0, Stage.ROLLOUT: 30.0})
LOOPBACK = Pace(0.05, {Stage.STIM: 5.0, Stage.ROLLOUT: 10.0})


@dataclass(slots=True)
class Forecast:
    """What is known of one running job; times in seconds on one clock."""

    started: float
    samples: list[tuple[float, float]] = field(default_factory=list)

    def saw(self, now: float, share: float | None) -> None:
        """Take note of the share of the work done (0 to 1), if it is known and has grown."""
        if share is not None and (not self.samples or share > self.samples[-1][1]):
            self.samples.append((now, share))

    def delay(self, now: float, pace: Pace, stage: Stage) -> float:
        """Return how long to wait before the next look."""
        rest = self._rest(now)
        wait = _BLIND_GROWTH * (now - self.started) if rest is None else _TRUST * rest
        return min(max(wait, pace.floor), pace.ceiling[stage])

    def _rest(self, now: float) -> float | None:
        """Return the predicted time to the end, None when there is nothing to go by."""
        if not self.samples:
            return None
        last, share = self.samples[-1]
        begin, base = self.samples[-2] if len(self.samples) > 1 else (self.started, 0.0)
        if last <= begin or share <= base:
            return None
        predicted = last + (1.0 - share) * (last - begin) / (share - base)
        # Past the predicted end the prediction was wrong: fall back to blind growth.
        return predicted - now if predicted > now else None
