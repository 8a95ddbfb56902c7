"""An operation of the API as data: what does it, and what can be said of it. Does nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.service.api.calls import Call, Reply

if TYPE_CHECKING:
    from reconciler.service.api.calls import Bounds

Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API: what does it, and what its callers should know.

    ``answers`` and ``body`` name definitions of ``schemas/api.v1.json``. ``numbers`` and ``flags``
    are read from the query. ``refusals`` are the statuses that not every call of its kind can have.
    An ``open`` one needs no key.
    """

    run: Handler
    id: str
    summary: str
    answers: Mapping[int, str]
    refusals: tuple[int, ...] = ()
    body: str | None = None
    numbers: Mapping[str, Bounds] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    deprecated: bool = False
    open: bool = False

    def __call__(self, call: Call) -> Awaitable[Reply]:
        """Answer a call."""
        return self.run(call)
