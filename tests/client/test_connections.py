"""Connections as servers and proxies leave them: closed in silence, or used in odd ways."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from reconciler.client import Api, Http, HttpSettings
from reconciler.client.direct import DirectTransport
from reconciler.client.proxied import ProxiedTransport
from reconciler.core.errors import UnreachableError
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import LiveRepo, LiveStage

from .support import KEY, Answer, Clock, answer, asynchronous, ok, serving, speaking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from reconciler.client.transport import Origin, Transport

RUNNING = LiveStage("running", 0)
BODY = b'{"status": "running", "lines": 0}'
CARRIERS = pytest.mark.parametrize(
    "carrier", [DirectTransport, ProxiedTransport], ids=["direct", "proxied"]
)


@dataclass
class Forgetful:
    """Answers so many requests of each connection; the next one finds it closed, in silence."""

    patience: int
    delivered: list[str] = field(default_factory=list)
    opened: int = 0
    is_open: int = 0
    most_open: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.is_open += 1
        self.most_open = max(self.most_open, self.is_open)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            for _ in range(self.patience):
                await self._serve(reader, writer)
            await reader.readuntil(b"\r\n\r\n")
        self.is_open -= 1
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.delivered.append(head.decode("latin-1").partition(" ")[0])
        writer.write(answer(200, BODY).content)
        await writer.drain()


@asynccontextmanager
async def asking(
    server: Forgetful, carrier: Callable[[Origin], Transport]
) -> AsyncIterator[tuple[Api, Clock]]:
    clock = Clock()
    async with await asyncio.start_server(server.handle, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with Http(HttpSettings(url, KEY), clock, connect=carrier) as http:
            yield Api(http), clock


@CARRIERS
@asynchronous
async def test_a_start_reaches_a_server_that_closes_in_silence_after_each_answer(
    carrier: Callable[[Origin], Transport],
) -> None:
    server = Forgetful(1)
    async with asking(server, carrier) as (api, _):
        await api.stage("r", "t", Stage.STIM)
        with pytest.raises(UnreachableError):  # nothing told of it yet
            await api.run("r", "t", Stage.STIM)
        for _ in range(3):
            assert await api.stage("r", "t", Stage.STIM) == RUNNING
            assert await api.run("r", "t", Stage.STIM) == RUNNING
    assert server.delivered.count("POST") == 3


@CARRIERS
@asynchronous
async def test_a_lost_look_is_warning_enough_for_starts(
    carrier: Callable[[Origin], Transport],
) -> None:
    server = Forgetful(1)
    async with asking(server, carrier) as (api, clock):
        for _ in range(3):
            await api.stage("r", "t", Stage.STIM)
        assert clock.slept  # one of the looks was lost, and repeated
        assert await api.run("r", "t", Stage.STIM) == RUNNING
    assert server.delivered == ["GET", "GET", "GET", "POST"]


@CARRIERS
@asynchronous
async def test_starts_share_a_connection_with_looks_where_servers_keep_it(
    carrier: Callable[[Origin], Transport],
) -> None:
    server = Forgetful(1000)
    async with asking(server, carrier) as (api, _):
        for _ in range(5):
            await api.stage("r", "t", Stage.STIM)
            await api.run("r", "t", Stage.STIM)
    assert server.opened == 1


@CARRIERS
@asynchronous
async def test_connections_of_their_own_do_not_pile_up(
    carrier: Callable[[Origin], Transport],
) -> None:
    server = Forgetful(4)
    async with asking(server, carrier) as (api, _):
        for _ in range(6):  # one of them is lost
            await api.stage("r", "t", Stage.STIM)
        for _ in range(20):
            await api.run("r", "t", Stage.STIM)
    assert server.delivered.count("POST") == 20
    assert server.most_open <= 2  # a server may see the new one before the old one ends


CHUNKS = b"4\r\n%b\r\n%x\r\n%b\r\n0\r\n" % (BODY[:4], len(BODY) - 4, BODY[4:])
KIND = b"Content-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LINE = b"HTTP/1.1 200 OK\r\n"
PLAIN = LINE + KIND + LENGTH + b"\r\n" + BODY
PACKED = gzip.compress(BODY)
WRAPPED = zlib.compress(BODY)
BARE = WRAPPED[2:-4]
FRAMINGS: dict[str, bytes] = {
    "plain": PLAIN,
    "no phrase": PLAIN.replace(b" OK", b"", 1),
    "line feeds alone": PLAIN.replace(b"\r\n", b"\n"),
    "chunks": LINE + CHUNKED + b"\r\n" + CHUNKS + b"\r\n",
    "trailers": LINE + CHUNKED + b"\r\n" + CHUNKS + b"Content-Encoding: br\r\nX-Sum: 1\r\n\r\n",
    "chunks and a length": LINE + LENGTH + CHUNKED + b"\r\n" + CHUNKS + b"\r\n",
    "an early hint": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + PLAIN,
    "several announcements": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + PLAIN,
    "an offer to upgrade": PLAIN.replace(
        KIND, KIND + b"Upgrade: h2,h2c\r\nConnection: Upgrade, Keep-Alive\r\n"
    ),
    "packed": LINE + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED,
    "deflated": LINE
    + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(WRAPPED)
    + WRAPPED,
    "deflated without a wrapping": LINE
    + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(BARE)
    + BARE,
    "a byte order mark": LINE + b"Content-Length: %d\r\n\r\n\xef\xbb\xbf" % (len(BODY) + 3) + BODY,
}


@CARRIERS
@pytest.mark.parametrize("sent", FRAMINGS.values(), ids=FRAMINGS)
@asynchronous
async def test_an_answer_is_read_however_it_is_framed(
    sent: bytes, carrier: Callable[[Origin], Transport]
) -> None:
    async with serving(Answer(sent)) as server:
        settings = HttpSettings(server.url, KEY)
        async with Http(settings, server.clock, connect=carrier) as http:
            for _ in range(2):  # so that nothing of an answer is left for the next
                assert await Api(http).stage("r", "t", Stage.STIM) == RUNNING


@asynchronous
async def test_a_protocol_that_nobody_asked_for_is_unreadable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    switch = b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\x00\x01"
    async with speaking(Answer(switch)) as (api, _):
        with pytest.raises(UnreachableError, match="no HTTP"):
            await api.repo("r")
    assert not caplog.records


@pytest.mark.parametrize("body", [{"error": "Too slow"}, b"<h1>408 Request Time-out</h1>"])
@asynchronous
async def test_a_connection_that_rested_too_long_for_a_proxy_is_no_refusal(body: object) -> None:
    """Proxies say 408 to whoever is silent, and a request may cross it on the way."""
    late = answer(408, body, {"Connection": "close"})
    async with speaking(late, ok(base_model="m")) as (api, server):
        assert await api.repo("r") == LiveRepo("m")
    assert len(server.requests) == 2
    async with speaking(late, ok(status="running")) as (api, server):
        with pytest.raises(UnreachableError, match="408: "):
            await api.run("r", "t", Stage.STIM)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@asynchronous
async def test_a_change_may_be_answered_with_nothing(status: int) -> None:
    async with speaking(_bare(status)) as (api, server):
        await api.create_repo("r", None)
        await api.create_prompt("r", "p", {"messages": []})
        await api.create_target("r", {"target_name": "t"})
        await api.delete_target("r", "t")
        assert await api.create_targets("r", [{"target_name": "t"}]) == {}
        assert await api.create_prompts("r", {"p": []}) == {}
    assert len(server.requests) == 6


@pytest.mark.parametrize("status", [201, 202, 204])
@asynchronous
async def test_a_start_that_is_answered_with_nothing_is_followed_by_a_look(status: int) -> None:
    async with speaking(_bare(status), ok(status="running", lines=0)) as (api, server):
        assert await api.run("r", "t", Stage.STIM) == RUNNING
    path = "/v1/repo/r/targets/t/stim"
    assert [(r.method, r.path) for r in server.requests] == [("POST", path), ("GET", path)]


@asynchronous
async def test_a_look_that_is_answered_with_nothing_is_unreadable() -> None:
    async with speaking(_bare(204)) as (api, _):
        for look in (api.repo("r"), api.target_names("r"), api.stage("r", "t", Stage.STIM)):
            with pytest.raises(UnreachableError, match="no JSON object"):
                await look


@pytest.mark.parametrize("body", [b"OK", b"<p>Done</p>", json.dumps([1]).encode()])
@asynchronous
async def test_a_change_that_is_answered_with_something_else_is_unreadable(body: bytes) -> None:
    async with speaking(answer(201, body)) as (api, _):
        with pytest.raises(UnreachableError, match="no JSON object"):
            await api.create_repo("r", None)


def _bare(status: int) -> Answer:
    length = b"" if status == 204 else b"Content-Length: 0\r\n"
    return Answer(b"HTTP/1.1 %d Fine\r\n%b\r\n" % (status, length))
