"""The ASGI application: who may call, which route it is, and what every answer has in common.

Promises a JSON body for every answer and never a 500 for a client's mistake. Knows nothing about
repositories, prompts, targets and jobs.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route, Router

from reconciler.service.api import bodies
from reconciler.service.api.auth import DEFAULT_USER, user_of
from reconciler.service.api.calls import Call
from reconciler.service.api.routes import OPEN_PATHS, TABLE
from reconciler.service.names import name_fault
from reconciler.service.problems import ApiError, Fault, invalid, not_found
from reconciler.service.wire import dumps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import Message, Receive, Scope, Send

    from reconciler.service.api.auth import Keys
    from reconciler.service.api.operation import Handler
    from reconciler.service.state.store import Store

_ELSEWHERE = {"bakes", "recipe", "tree"}

log = logging.getLogger(__name__)


class App:
    """The API over one store.

    ``wake`` is called when there may be work for the runner; ``is_model_up`` says whether whatever
    answers the runner's questions is there.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        wake: Callable[[], None],
        is_model_up: Callable[[], Awaitable[bool]],
    ) -> None:
        self._store = store
        self._keys = keys
        self._wake = wake
        self._is_model_up = is_model_up
        self._routes = [Route(path, _Resource(self, path, each)) for path, each in TABLE.items()]
        self._router = Router(self._routes, redirect_slashes=False, default=_nowhere)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        try:
            self._admit(Request(scope))
            await self._router(scope, receive, send)
        except ApiError as error:
            await _refuse(error, scope, receive, send)
        except ClientDisconnect:
            return
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            fault = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; see its log")
            await _refusal(fault)(scope, receive, send)

    def call(self, request: Request) -> Call:
        """Return an admitted request as a call."""
        return Call(request, self._store, self._wake, self._is_model_up, request.scope["user"])

    def _admit(self, request: Request) -> None:
        """Note whose call it is; raises a 400, a 401 or a 403, and a 422 for a path no name has."""
        given = request.headers.get
        user = DEFAULT_USER
        if request.scope["path"] not in OPEN_PATHS:
            query_user = request.query_params.get("user_id", "")
            try:
                user = user_of(
                    self._keys, given("authorization", ""), given("x-user-id", ""), query_user
                )
            except ApiError:
                request.scope["route_path"] = self._route_path(request.scope)
                raise
        request.scope["user"] = user
        fault = _path_fault(request.scope)
        if fault is not None:
            raise invalid([Fault(("path",), fault, "value_error")])

    def _route_path(self, scope: Scope) -> str | None:
        """Return the route that a call would take, for those who count refusals as well."""
        fitting = (each for each in self._routes if each.matches(scope)[0] is not Match.NONE)
        return next((each.path for each in fitting), None)


class _Resource:
    """One path and its methods."""

    def __init__(self, app: App, path: str, methods: Mapping[str, Handler]) -> None:
        self._app = app
        self._path = path
        self._methods = {**methods, **({"HEAD": methods["GET"]} if "GET" in methods else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route_path"] = self._path
        handler = self._methods.get(scope["method"])
        if handler is None:
            raise ApiError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"Method {scope['method']} is not allowed here",
                headers={"Allow": ", ".join(self._methods)},
            )
        answer = await handler(self._app.call(Request(scope, receive)))
        await _response(answer.text, answer.status)(scope, receive, send)


def _path_fault(scope: Scope) -> str | None:
    """Return what no name in a path can be: one with a slash, or bytes that are no text."""
    if b"%2f" in scope["raw_path"].lower():
        return name_fault("/")
    if "\ufffd" in scope["path"]:
        try:
            unquote_to_bytes(scope["raw_path"]).decode()
        except UnicodeError:
            return "Name is not valid UTF-8"
    return None


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 (ASGI)
    _, *parts = scope["path"].split("/")
    if parts[:2] == ["v1", "repo"] and len(parts) > 3 and parts[3] in _ELSEWHERE:
        raise not_found("Bakes are not part of this service: it runs stim and rollout only")
    raise not_found("Not found: the API has no such path")


async def _refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an error, so that its receiver sees it and knows what becomes of an unread body."""
    response = _refusal(error)
    if "expect" in Request(scope).headers:
        response.headers["Connection"] = "close"
    if error.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        send = _lingering(receive, send)
    await response(scope, receive, send)


def _lingering(receive: Receive, send: Send) -> Send:
    """Return what sends an answer whole and at once, and ends it after the request."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            await bodies.drain(receive)
            message = {**message, "body": b""}
        await send(message)

    return sending


def _refusal(error: ApiError) -> Response:
    return _response(dumps(error.body()), error.status, error.headers)


def _response(text: str, status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Response:
    return Response(text, status, headers, media_type="application/json")
