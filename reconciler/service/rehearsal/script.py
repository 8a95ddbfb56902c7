"""What a rehearsal lets go wrong: rules for requests and jobs, and which of them strikes when.

Pure data and counting in memory; the same script asked the same things gives the same answers.
Never reads a file and never does what a rule says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ANYTHING = "**"
"""The pattern that everything fits."""


@dataclass(frozen=True, slots=True)
class When:
    """Which of the cases that a rule fits it strikes: after ``skip``, ``times`` times, by chance.

    ``times`` None means always.
    """

    skip: int = 0
    times: int | None = None
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of lines, or a share of all the lines of a job."""

    value: Fraction
    is_share: bool = False

    def of(self, total: int) -> int:
        """Return the number of lines it means in a job of ``total`` lines, rounded down."""
        return int(self.value * total) if self.is_share else int(self.value)


@dataclass(frozen=True, slots=True)
class RequestRule:
    """What happens to requests of a method (None: any) whose path fits a pattern.

    First they wait ``delay`` seconds; then they are answered with ``status``, or lost before
    anything is done (``request``) or after (``answer``), or go their way.
    """

    when: When = When()
    method: str | None = None
    path: str = ANYTHING
    delay: float = 0.0
    status: int | None = None
    message: str | None = None
    retry_after: int | None = None
    lose: Literal["request", "answer"] | None = None


@dataclass(frozen=True, slots=True)
class JobRule:
    """What happens to jobs of a stage (None: any) whose target, ``REPO/NAME``, fits a pattern.

    Every line takes ``delay`` seconds more. The job fails with a sentence or stalls for seconds
    (infinity: for good) after ``at`` lines, or completes with ``lines`` lines.
    """

    when: When = When()
    target: str = ANYTHING
    stage: str | None = None
    delay: float = 0.0
    fail: str | None = None
    stall: float = 0.0
    at: Amount = Amount(Fraction(0))
    lines: Amount | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """The rules of a rehearsal, in the order in which they are asked."""

    requests: tuple[RequestRule, ...] = ()
    jobs: tuple[JobRule, ...] = ()
    seed: int = 0


def fits(pattern: str, text: str) -> bool:
    """Say whether a text fits a pattern: ``*`` is anything but a slash, ``**`` anything."""
    return _compiled(pattern).fullmatch(text) is not None


class _Rule(Protocol):
    @property
    def when(self) -> When: ...


R = TypeVar("R", bound=_Rule)


class Turns(Generic[R]):
    """Asks the rules of one list in order, and counts for each of them."""

    def __init__(self, rules: Sequence[R], seed: int) -> None:
        self._turns = [
            (rule, _Turn(rule.when, f"{seed}/{place}")) for place, rule in enumerate(rules)
        ]

    def first(self, fitting: Callable[[R], bool]) -> R | None:
        """Return the first rule that fits and strikes; those after it don't count this case."""
        for rule, turn in self._turns:
            if fitting(rule) and turn.strikes():
                return rule
        return None


@dataclass(slots=True)
class _Turn:
    when: When
    name: str
    met: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def strikes(self) -> bool:
        """Count one more case and say whether it is struck."""
        if self.struck == self.when.times:
            return False
        self.met += 1
        strikes = self.met > self.when.skip and self._draw() < self.when.probability
        self.struck += strikes
        return strikes

    def _draw(self) -> float:
        """Return the number in [0, 1) that belongs to this case."""
        digest = blake2b(f"{self.name}/{self.met}".encode(), digest_size=6).digest()
        return int.from_bytes(digest, "big") / 2**48


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    wild = {"*": "[^/]*", "**": ".*"}
    return re.compile("".join(wild.get(part) or re.escape(part) for part in parts), re.DOTALL)
