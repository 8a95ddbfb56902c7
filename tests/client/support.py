"""A server that answers over a real socket with what bytes a test wants, and a patient clock."""

from __future__ import annotations

import asyncio
import functools
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from reconciler.client import Api, Http, HttpSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

Given = ParamSpec("Given")
Value = TypeVar("Value")

KEY = "the-secret-key-of-this-test"


def asynchronous(test: Callable[Given, Coroutine[Any, Any, Value]]) -> Callable[Given, Value]:
    """Make an ordinary test of an asynchronous one, in real time."""

    @functools.wraps(test)
    def ordinary(*args: Given.args, **options: Given.kwargs) -> Value:
        return asyncio.run(test(*args, **options))

    return ordinary


@dataclass
class Clock:
    """Sleeping takes no time, and is counted."""

    time: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Request:
    """What arrived, as it stood on the wire, and when by the clock of the client."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """Bytes to send, after a while; ``cut`` leaves out the last bytes and hangs up."""

    content: bytes
    after: float = 0.0
    cut: int = 0


HANG_UP = Answer(b"")


def answer(
    status: int,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    *,
    after: float = 0.0,
    cut: int = 0,
) -> Answer:
    """Return an HTTP answer; a body that is not bytes is sent as JSON."""
    page = isinstance(body, bytes)
    content = body if page else json.dumps(body).encode()
    kind = "text/html" if page else "application/json"
    lines = {"Content-Length": str(len(content)), "Content-Type": kind, **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    phrase = HTTPStatus(status).phrase
    return Answer(f"HTTP/1.1 {status} {phrase}\r\n{head}\r\n".encode() + content, after, cut)


def ok(**body: Any) -> Answer:
    return answer(200, body)


class Server:
    """Gives its answers one after the other, and the last one for ever."""

    def __init__(self, answers: tuple[Answer, ...], clock: Clock) -> None:
        self.requests: list[Request] = []
        self.url = ""
        self.clock = clock
        self._answers = answers

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._serve(reader, writer):
                pass
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.strip().split("\r\n")
        headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in rest)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split(" ")
        given = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(Request(method, path, headers, body, self.clock.now()))
        await asyncio.sleep(given.after)
        writer.write(given.content[: len(given.content) - given.cut])
        await writer.drain()
        return bool(given.content) and not given.cut


@asynccontextmanager
async def serving(*answers: Answer, clock: Clock | None = None) -> AsyncIterator[Server]:
    server = Server(answers, clock or Clock())
    async with await asyncio.start_server(server.handle, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        server.url = f"http://{host}:{port}"
        yield server


@asynccontextmanager
async def speaking(*answers: Answer, **settings: Any) -> AsyncIterator[tuple[Api, Server]]:
    """Give an API client together with the server it speaks to; they share a patient clock."""
    clock = Clock()
    async with serving(*answers, clock=clock) as server:
        given = {"base_url": server.url, "key": KEY, **settings}
        async with Http(HttpSettings(**given), clock) as http:
            yield Api(http), server
