"""One call of the API as the routes see it: whose it is, what it names, what it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from reconciler.service import schema
from reconciler.service.api import bodies
from reconciler.service.problems import Fault, invalid
from reconciler.service.wire import dumps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from reconciler.service.state.store import Store

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a whole number in the query may be and means, and what it is when it is absent.

    A default below ``least`` stands for its absence.
    """

    default: int
    least: int
    most: int | None = None
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer: JSON text and a status."""

    text: str
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a known user.

    ``wake`` tells the runner that there may be work; ``is_model_up`` tells whether it can be done.
    """

    request: Request
    store: Store
    wake: Callable[[], None]
    is_model_up: Callable[[], Awaitable[bool]]
    user: str

    def names(self, *parts: str) -> list[str]:
        """Return parts of the path, decoded."""
        return [self.request.path_params[part] for part in parts]

    async def body(self, definition: str) -> dict[str, Any]:
        """Return the valid body; raises a 400, a 413 or a 422."""
        declared = int(self.request.headers.get("content-length", 0))
        raw = await bodies.read(self.request.stream(), declared)
        return schema.check(definition, bodies.parse(raw))

    def flag(self, name: str) -> bool:
        """Return a yes or no from the query, no by default; raises a 422."""
        text = self.request.query_params.get(name, "false").lower()
        if text not in _TRUE | _FALSE:
            fault = Fault(("query", name), "Input should be a valid boolean", "bool_parsing")
            raise invalid([fault])
        return text in _TRUE

    def numbers(self, **bounds: Bounds) -> list[int]:
        """Return whole numbers from the query, in the order given; raises a 422 for all at once."""
        query = self.request.query_params
        results = [_whole(name, query.get(name), each) for name, each in bounds.items()]
        faults = [result for result in results if isinstance(result, Fault)]
        if faults:
            raise invalid(faults)
        return [result for result in results if isinstance(result, int)]


def reply(value: object, *, created: bool = False) -> Reply:
    """Return a value as the answer, with 201 if the call created it."""
    return Reply(dumps(value), HTTPStatus.CREATED if created else HTTPStatus.OK)


def _whole(name: str, text: str | None, bounds: Bounds) -> int | Fault:
    if text is None:
        return bounds.default
    loc = ("query", name)
    if not _WHOLE.fullmatch(text):
        return Fault(loc, "Input should be a valid integer", "int_parsing")
    number = int(text)
    if number < bounds.least:
        message = f"Input should be greater than or equal to {bounds.least}"
        return Fault(loc, message, "greater_than_equal")
    if bounds.most is not None and number > bounds.most:
        return Fault(loc, f"Input should be less than or equal to {bounds.most}", "less_than_equal")
    return number
