"""What ``plan`` and ``apply`` tell of outputs that live data has left behind. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.core.planning.outputs_pulled import comparable, differing, outdated
from reconciler.workflow.pulling import DIRECTORY
from reconciler.workflow.verbs import shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.outputs import Output
    from reconciler.core.model.plan import Plan
    from reconciler.workflow.connection import Connection
    from reconciler.workflow.place import Place


@dataclass(frozen=True, slots=True)
class Outputs:
    """What it takes to tell which outputs that were pulled live data has left behind."""

    api: Connection
    place: Place
    parallelism: int
    warn: Callable[[str], object]

    def tell(self, desired: Desired, observed: Observed, lock: Lock | None, planned: Plan) -> int:
        """Tell it; return the number of requests it took."""
        for text in outdated(desired, observed, lock):
            self.warn(text)
        return self._compare(comparable(desired, observed, lock, planned))

    def _compare(self, outputs: tuple[Output, ...]) -> int:
        if not outputs or not (self.place.root / DIRECTORY).is_dir():
            return 0
        from reconciler.workflow.pulling import comparing

        known = comparing.tails(self.place.root, outputs)
        if not known:
            return 0
        most = shared.most_at_once(self.api, self.parallelism)
        looks, requests = shared.run(comparing.look(self.api, known, parallelism=most))
        for text in differing(comparing.judged(self.place.root, known, looks)):
            self.warn(text)
        return requests
