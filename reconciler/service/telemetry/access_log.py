"""The access log: one line of JSON for each request, written after its answer.

Holds nothing that a caller would not want to find in a log: no key, no header but the user agent
and the request id, no query. Plain ASCII, every other character escaped, so that no request can
forge a line or reach a terminal.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.service.telemetry.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_AGENT = 200
_HEADER = b"x-request-id"
_SANE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Logged:
    """An application whose requests are logged, and whose answers carry ``X-Request-Id``.

    ``write`` takes a line with its end, and should neither block nor raise. ``now`` is the time in
    seconds since 1970, ``timer`` any clock that never goes back.
    """

    def __init__(
        self,
        app: ASGIApp,
        write: Callable[[str], object],
        *,
        now: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._write = write
        self._now = now
        self._timer = timer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and log it, also when its client is gone or the application fails."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._timer()
        request_id = _request_id(scope)
        answer = Answer(scope, _with_id(request_id, send))
        try:
            await answer.of(self._app, scope, receive)
        finally:
            seconds = self._timer() - started
            self._write(_line(self._now(), scope, answer, seconds, request_id.decode()))


def _line(now: float, scope: Scope, answer: Answer, seconds: float, request_id: str) -> str:
    """Return a line; what it says of the route and the user, the application noted in the scope."""
    user = scope.get("user")
    entry: dict[str, Any] = {
        "time": _moment(now),
        "method": scope["method"],
        "path": scope["raw_path"].decode("latin-1"),
        "route": scope.get("route_path"),
        **({"user": user} if user else {}),
        "status": answer.status if answer.whole else None,
        "seconds": round(seconds, 6),
        "bytes": answer.size,
        "client": scope["client"][0] if scope.get("client") else None,
        "user_agent": _header(scope, b"user-agent")[:LONGEST_AGENT].decode("latin-1"),
        "request_id": request_id,
    }
    return _encode(entry) + "\n"


def _moment(now: float) -> str:
    seconds, fraction = divmod(now, 1)
    return f"{_second(int(seconds))}.{int(fraction * 1000):03}Z"


@lru_cache(maxsize=2)
def _second(since_1970: int) -> str:
    """Return a second as ISO 8601; formatting is slow, and many requests share a second."""
    return f"{datetime.fromtimestamp(since_1970, UTC):%Y-%m-%dT%H:%M:%S}"


def _request_id(scope: Scope) -> bytes:
    given = _header(scope, _HEADER)
    return given if _SANE.fullmatch(given) else secrets.token_hex(16).encode()


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


def _with_id(request_id: bytes, send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (_HEADER, request_id)]
            message = {**message, "headers": headers}
        await send(message)

    return sending
