"""Does to HTTP requests what a rehearsal says: delays, refuses or loses them.

Stands around the whole application. What watches the service (health, metrics, the API's
description) is struck only by a rule that names exactly its path.
"""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from reconciler.service.problems import Fault, body_of, invalid
from reconciler.service.rehearsal.script import Turns, fits
from reconciler.service.wire import dumps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from reconciler.service.rehearsal.script import RequestRule, Script

SPARED = frozenset({"/v1/health", "/metrics", "/openapi.json"})
"""Paths that no pattern with a wildcard fits."""

_ABORT = "abort"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def abortable(app: ASGIApp) -> ASGIApp:
    """Return an application whose inner layers can cut the connection; for the outermost one.

    ASGI has no word for this. ``send`` is a method of what uvicorn keeps about the request, and the
    connection lies beside it.
    """

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        cycle: Any = getattr(send, "__self__", None)
        await app({**scope, _ABORT: cycle.transport.abort}, receive, send)

    return outermost


class Rehearsed:
    """An ASGI application under the request rules of a script; counts from its own beginning.

    Needs to be within an ``abortable`` one.
    """

    def __init__(
        self,
        app: ASGIApp,
        script: Script,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._app = app
        self._turns = Turns(script.requests, script.seed)
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or fail to, as the first rule says that strikes."""
        is_http = scope["type"] == "http"
        rule = self._turns.first(partial(_concerns, scope)) if is_http else None
        if rule is None:
            await self._app(scope, receive, send)
            return
        if rule.delay:
            await self._sleep(rule.delay)
        if rule.status is not None:
            await _answer(rule, rule.status)(scope, receive, send)
        elif rule.lose is None:
            await self._app(scope, receive, send)
        else:
            if rule.lose == "answer":
                await self._app(scope, receive, _unheard)
            await _hang_up(scope, receive)


def _concerns(scope: Scope, rule: RequestRule) -> bool:
    path = scope["path"]
    is_meant = rule.path == path if path in SPARED else fits(rule.path, path)
    return is_meant and rule.method in (None, scope["method"])


def _answer(rule: RequestRule, status: int) -> Response:
    sentence = rule.message or f"{_PHRASES.get(status, f'Status {status}')} (rehearsed)"
    headers = {} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)}
    return Response(dumps(_body(status, sentence)), status, headers, media_type="application/json")


def _body(status: int, sentence: str) -> dict[str, object]:
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return invalid([Fault(("body",), sentence, "value_error")]).body()
    return body_of(status, sentence)


async def _unheard(message: Message) -> None:
    """Take a part of an answer that nobody will get."""


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Cut the connection and return once the server has noticed.

    A return before the server knows would be answered with a 500.
    """
    scope[_ABORT]()
    while (await receive())["type"] != "http.disconnect":
        continue
