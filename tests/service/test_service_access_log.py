"""The access log: what a line says, that every request has one, and what never stands in it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.service.telemetry.access_log import Logged

from .asgi import ROUTE, begin, behaving, exchanged, never, scope_of, serving, waiting

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

NOON = 1_700_000_000.0125


class Log:
    """An application with its access log, at noon, where every request takes 0.25 seconds."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        ticks = iter(range(1_000_000))
        self.app = Logged(
            behaving, self.lines.append, now=lambda: NOON, timer=lambda: next(ticks) / 4
        )

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def entry(self, **request: Any) -> dict[str, Any]:
        """Return the entry for one request that may fail."""
        with suppress(OSError):
            exchanged(self.app, scope_of(**request))
        (entry,) = self.entries
        return entry


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_line(log: Log) -> None:
    headers = ((b"user-agent", b"tests/1"), (b"x-request-id", b"abc-1"))
    log.entry(path="/whole", query=b"user_id=ann", headers=headers)
    expected = {
        "time": "2023-11-14T22:13:20.012Z",
        "method": "GET",
        "path": "/whole",
        "route": ROUTE,
        "user": "ann",
        "status": 201,
        "seconds": 0.25,
        "bytes": 5,
        "client": "203.0.113.7",
        "user_agent": "tests/1",
        "request_id": "abc-1",
    }
    assert log.lines == [json.dumps(expected, separators=(",", ":")) + "\n"]


def test_nothing_is_known_of_a_request_that_says_nothing(log: Log) -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        await send(begin(401))
        await send({"type": "http.response.body"})

    lines: list[str] = []
    exchanged(Logged(refusing, lines.append), {**scope_of(), "client": None})
    entry = json.loads(lines[0])
    assert (entry["status"], entry["bytes"]) == (401, 0)
    assert (entry["route"], entry["client"], entry["user_agent"]) == (None, None, "")
    assert "user" not in entry


@pytest.mark.parametrize(
    ("path", "method", "status", "size"),
    [
        ("/whole", "GET", 201, 5),
        ("/whole", "HEAD", 201, 0),
        ("/parts", "POST", 201, 11),
        ("/fails", "GET", 500, 0),
        ("/fails-late", "GET", None, 3),
        ("/silent", "GET", None, 0),
    ],
)
def test_every_end_of_a_request(
    log: Log, path: str, method: str, status: int | None, size: int
) -> None:
    entry = log.entry(path=path, method=method)
    assert (entry["status"], entry["bytes"], entry["method"]) == (status, size, method)


@pytest.mark.parametrize(("path", "size"), [("/waits", 0), ("/waits-late", 3)])
def test_a_cancelled_request(log: Log, path: str, size: int) -> None:
    async def cancelled() -> None:
        request = await waiting(log.app, scope_of(path=path))
        assert log.lines == []
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(cancelled())
    (entry,) = log.entries
    assert (entry["status"], entry["bytes"]) == (None, size)


def test_a_failure_is_passed_on(log: Log) -> None:
    with pytest.raises(OSError, match="on purpose"):
        exchanged(log.app, scope_of(path="/fails"))


def test_a_line_is_written_after_the_answer() -> None:
    events: list[str] = []

    async def send(message: Any) -> None:
        events.append(message["type"])

    async def answered() -> None:
        app = Logged(behaving, lambda _: events.append("line"))
        await app(scope_of(path="/parts"), never, send)

    asyncio.run(answered())
    assert events == ["http.response.start", *["http.response.body"] * 4, "line"]


def test_neither_keys_nor_queries_are_logged(log: Log) -> None:
    headers = ((b"authorization", b"Bearer secret-1"), (b"cookie", b"secret-2"))
    log.entry(query=b"secret_3=1", headers=headers)
    assert "secret" not in log.lines[0].replace('"user":"secret_3=1",', "")


def test_a_long_user_agent_is_cut(log: Log) -> None:
    entry = log.entry(headers=((b"user-agent", b"x" * 5000),))
    assert entry["user_agent"] == "x" * 200


@given(agent=st.binary(max_size=300), path=st.binary(max_size=50), user=st.text(max_size=30))
def test_no_request_forges_a_line(agent: bytes, path: bytes, user: str) -> None:
    log = Log()
    scope = scope_of(headers=((b"user-agent", agent), (b"x-request-id", agent)))
    scope |= {"raw_path": path, "query_string": user.encode("utf-8", "ignore")}
    exchanged(log.app, scope)
    (line,) = log.lines
    assert re.fullmatch(r"[ -~]+\n", line)
    entry = json.loads(line)
    assert entry["path"].encode("latin-1") == path
    assert entry["user_agent"].encode("latin-1") == agent[:200]


class TestRequestId:
    @pytest.mark.parametrize("given_id", [b"a", b"7f3c-1.2_3:4/5+6=", b"x" * 128])
    def test_a_sane_one_is_kept_and_sent_back(self, log: Log, given_id: bytes) -> None:
        sent = exchanged(log.app, scope_of(headers=((b"x-request-id", given_id),)))
        assert (b"x-request-id", given_id) in sent[0]["headers"]
        assert (b"content-type", b"text/plain") in sent[0]["headers"]
        assert log.entries[0]["request_id"] == given_id.decode()

    @pytest.mark.parametrize("given_id", [None, b"", b"a b", b"a\nb", b"\xe9", b"<a>", b"x" * 129])
    def test_every_other_request_gets_one(self, log: Log, given_id: bytes | None) -> None:
        headers = () if given_id is None else ((b"x-request-id", given_id),)
        for _ in range(2):
            sent = exchanged(log.app, scope_of(headers=headers))
            name, made = sent[0]["headers"][-1]
            assert (name, made.decode()) == (b"x-request-id", log.entries[-1]["request_id"])
            assert re.fullmatch(rb"[0-9a-f]{32}", made)
        first, second = log.entries
        assert first["request_id"] != second["request_id"]


def test_what_is_no_request_is_passed_on() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    def write(line: str) -> None:
        raise AssertionError(line)

    exchanged(Logged(app, write), {"type": "lifespan"})
    assert seen == ["lifespan"]


class TestOverASocket:
    def test_paths_are_logged_as_they_were_sent(self, log: Log) -> None:
        with serving(log.app) as url:
            answer = httpx.get(f"{url}/a%2Fb%20%C3%A9?user_id=ann")
        (entry,) = log.entries
        assert (entry["path"], entry["user"]) == ("/a%2Fb%20%C3%A9", "ann")
        assert entry["client"] == "127.0.0.1"
        assert answer.headers["x-request-id"] == entry["request_id"]

    def test_a_client_that_hangs_up(self, log: Log) -> None:
        with serving(log.app) as url:
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
                client.sendall(b"GET /waits-late HTTP/1.1\r\nHost: here\r\n\r\n")
                assert client.recv(1000).startswith(b"HTTP/1.1 201")
            deadline = time.monotonic() + 60
            while not log.lines and time.monotonic() < deadline:
                time.sleep(0.005)
        (entry,) = log.entries
        assert (entry["status"], entry["bytes"]) == (None, 3)
