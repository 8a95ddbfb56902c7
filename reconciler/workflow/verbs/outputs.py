"""What ``plan`` and ``apply`` tell of outputs that live data has left behind. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.planning.outputs_pulled import Finding, comparable, differing, outdated
from reconciler.workflow.pulling import DIRECTORY
from reconciler.workflow.verbs import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.outputs import Output
    from reconciler.core.model.plan import Plan
    from reconciler.workflow.connection import Connection
    from reconciler.workflow.place import Place

#: So many warnings of one sort are told, and how many more there are.
FEW = 5


@dataclass(frozen=True, slots=True)
class Outputs:
    """What it takes to tell which outputs that were pulled live data has left behind."""

    api: Connection
    place: Place
    parallelism: int
    warn: Callable[[str], object]

    def tell(self, desired: Desired, observed: Observed, lock: Lock | None, planned: Plan) -> int:
        """Tell it; return the number of requests it took."""
        self._warn(outdated(desired, observed, lock))
        return self._compare(comparable(desired, observed, lock, planned))

    def _warn(self, texts: Iterable[str]) -> None:
        """Warn of each if they are a few, else of some and of how many more there are."""
        first = list(texts)
        more = first[FEW:]
        for text in first[:FEW]:
            self.warn(text)
        if more:
            what = "output is" if len(more) == 1 else "outputs are"
            self.warn(
                f"{len(more):,} more {what} not, or may not be, what was pulled. "
                "`reconciler pull --check` tells of each"
            )

    def _compare(self, outputs: tuple[Output, ...]) -> int:
        if not outputs or not (self.place.root / DIRECTORY).is_dir():
            return 0
        from reconciler.workflow.pulling import comparing

        known = comparing.tails(self.place.root, outputs)
        if not known:
            return 0
        most = shared.most_at_once(self.api, self.parallelism)
        looks, requests = shared.run(comparing.look(self.api, known, parallelism=most))
        found = tuple(comparing.judged(self.place.root, known, looks))
        unknown = [it for it in found if it.finding is Finding.UNKNOWN]
        self._warn(differing(it for it in found if it.finding is not Finding.UNKNOWN))
        self._warn(differing(unknown))
        return requests
