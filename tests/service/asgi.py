"""Drives an ASGI application without a service around it: message by message, or over a socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROUTE = "/v1/{name}"


def scope_of(
    method: str = "GET",
    path: str = "/whole",
    query: bytes = b"",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": headers,
        "client": ("203.0.113.7", 50000),
    }


async def never() -> Message:
    await asyncio.sleep(3600)
    raise AssertionError


async def exchange(app: ASGIApp, scope: Scope) -> list[Message]:
    """Return what the application sends."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, never, send)
    return sent


def exchanged(app: ASGIApp, scope: Scope) -> list[Message]:
    return asyncio.run(exchange(app, scope))


async def waiting(app: ASGIApp, scope: Scope) -> asyncio.Task[list[Message]]:
    """Return a request that is under way and waits for something."""
    task = asyncio.create_task(exchange(app, scope))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


def begin(status: int = 200) -> Message:
    headers = [(b"content-type", b"text/plain")]
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(text: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": more}


async def behaving(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that behaves as the path says, for some user, on some route."""
    scope["user"] = scope["query_string"].decode().removeprefix("user_id=")
    scope["route_path"] = ROUTE
    match scope["path"]:
        case "/fails":
            raise OSError("on purpose")
        case "/silent":
            return
        case "/waits":
            await never()
    await send(begin(201))
    match scope["path"]:
        case "/parts":
            for text in (b"one", b"two", b"three"):
                await send(body(text, more=True))
            await send(body(b""))
        case "/fails-late":
            await send(body(b"one", more=True))
            raise OSError("on purpose")
        case "/waits-late":
            await send(body(b"one", more=True))
            while (await receive())["type"] != "http.disconnect":
                pass
        case _:
            await send(body(b"whole"))


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application as the service is served; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
