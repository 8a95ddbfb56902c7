"""HTTP/1.1 over plain asyncio connections, without a proxy: fast to import and fast to use.

httptools reads what arrives, so that nothing here interprets HTTP. A connection carries one request
at a time and is used again while both ends want that. A POST is not risked on a used connection
once one of these was closed in silence. Nothing unbounded is kept, neither headers nor bodies.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httptools

from reconciler.client.tls import tls_context
from reconciler.client.transport import (
    LARGEST_ANSWER,
    PATIENCE_FOR_ALL,
    Answer,
    LostError,
    NotSentError,
    TooLargeError,
    header,
)
from reconciler.client.urls import is_loopback

if TYPE_CHECKING:
    from reconciler.client.transport import Origin

_MOST_HEADER_BYTES = 100_000
_FIRST_FINAL_STATUS = 200
#: Seconds after which an idle connection is not trusted any more: many servers close at 5.
_IDLE_FOR = 4.0
#: Seconds that an address gets before the next one is tried beside it.
_HEAD_START = 0.25
_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Headers that tell where a body ends.
_FRAMING = {b"content-length", b"transfer-encoding"}
#: What zlib calls the two packings that an answer may have.
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class DirectTransport:
    """Connections to one origin, as many as there are requests at once."""

    def __init__(self, origin: Origin) -> None:
        parts = urlsplit(origin.base_url)
        self._host = parts.hostname or ""
        self._port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self._tls = tls_context() if parts.scheme == "https" else None
        self._prefix = parts.path.rstrip("/")
        self._head = _head(parts.netloc, origin)
        self._timeout = origin.timeout
        # Addresses of this machine need no race, in which asyncio forgets a socket if cancelled.
        self._race = None if is_loopback(self._host) else _HEAD_START
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        # Some servers close after each answer without a word, so that a request that follows at
        # once is lost. Others can be repeated; for a POST, a new connection takes the place.
        self._is_wary = False

    async def send(self, method: str, path: str, body: bytes | None) -> Answer:
        """Send a request over a connection of its own for that time."""
        connection = self._spare(method) or await self._connected()
        try:
            return await connection.exchange(self._request(method, path, body))
        except LostError:
            self._is_wary = self._is_wary or connection.fell_silent
            raise
        finally:
            if connection.is_reusable:
                self._idle.append(connection)
            else:
                self._drop(connection)

    async def aclose(self) -> None:
        """Close all connections."""
        for connection in self._all:
            connection.close()
        # The loop closes a socket only in its next round.
        await asyncio.sleep(0)

    def _request(self, method: str, path: str, body: bytes | None) -> bytes:
        line = f"{method} {self._prefix}{path} HTTP/1.1\r\n".encode("ascii")
        if body is None:
            length = b"" if method == "GET" else b"Content-Length: 0\r\n"
            return b"%b%b%b\r\n" % (line, self._head, length)
        kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        return b"%b%b%b%b" % (line, self._head, kind, body)

    def _spare(self, method: str) -> _Connection | None:
        """Return a connection to use again, if there is one to be trusted with this method."""
        connection = self._rested()
        if connection and self._is_wary and method == "POST":
            self._drop(connection)
            return None
        return connection

    def _rested(self) -> _Connection | None:
        """Return the connection used last, unless it has rested for too long."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh:
                return connection
            self._drop(connection)
        return None

    def _drop(self, connection: _Connection) -> None:
        connection.close()
        self._all.discard(connection)

    async def _connected(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, self._timeout),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    happy_eyeballs_delay=self._race,
                )
        except TimeoutError as error:
            raise NotSentError("no connection in time") from error
        except OSError as error:
            raise NotSentError(_sentence(error)) from error
        self._all.add(connection)
        return connection


class _Connection(asyncio.Protocol):
    """One connection: a request at a time, and its answer as far as it has arrived.

    The methods beginning with ``on_`` are called by httptools.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        self._loop = loop
        self._timeout = timeout
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        # As curl, browsers and httpx do; what is dangerous about it concerns those who pass it on.
        self._parser.set_dangerous_leniencies(
            lenient_chunked_length=True, lenient_optional_cr_before_lf=True
        )
        self._waiter: asyncio.Future[Answer] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._broken = self._is_used = False
        self._rested_since = self._begun = self._heard = 0.0
        self._forget()

    @property
    def is_reusable(self) -> bool:
        """Tell whether another request may be sent."""
        return not self._broken and self._waiter is None

    @property
    def is_fresh(self) -> bool:
        """Tell whether the other end probably still listens."""
        return self.is_reusable and self._loop.time() - self._rested_since < _IDLE_FOR

    @property
    def fell_silent(self) -> bool:
        """Tell whether it has brought answers, but not a byte since the last request."""
        return self._is_used and self._heard <= self._begun

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and wait for its answer; raises LostError."""
        if self._transport is None or self._broken:
            raise NotSentError("the connection was closed")
        self._waiter = self._loop.create_future()
        self._begun = self._heard = self._loop.time()
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._look_at_the_time)
        self._transport.write(request)
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self._broken = True
            raise
        finally:
            self._waiter = None
            self._rested_since = self._heard

    def close(self) -> None:
        """Close at once: there is nothing left to be said."""
        self._broken = True
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what asyncio makes for TCP
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody asked for ends the connection."""
        if self._waiter is None or self._waiter.done():
            self.close()
            return
        self._heard = self._loop.time()
        if not self._has_headers:
            self._header_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(LostError(f"the answer is no HTTP: {error}"))
        if not self._has_headers and self._header_bytes > _MOST_HEADER_BYTES:
            self._fail(LostError("the answer has too many headers"))

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the other end has gone; some answers end that way."""
        self._broken = True
        if self._watch is not None:
            self._watch.cancel()
        if self._ends_with_the_connection and error is None:
            self._finish()
        self._fail(LostError(_sentence(error) if error else "the connection was closed too early"))

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._forget()

    def on_status(self, status: bytes) -> None:
        """Keep the reason phrase."""
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, and not what follows a body under that name."""
        if not self._has_headers:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note that the body follows."""
        self._has_headers = True

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body, unless that becomes too much."""
        self._body.append(part)
        self._body_bytes += len(part)
        if self._body_bytes > LARGEST_ANSWER:
            self._fail(TooLargeError())

    def on_message_complete(self) -> None:
        """Hand over the answer, unless it only announces another."""
        if self._parser.get_status_code() >= _FIRST_FINAL_STATUS:
            self._broken = self._broken or not self._parser.should_keep_alive()
            self._finish()

    @property
    def _ends_with_the_connection(self) -> bool:
        framed = {name.lower() for name, _ in self._headers} & _FRAMING
        return self._has_headers and not framed

    def _forget(self) -> None:
        self._reason = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._has_headers = False
        self._header_bytes = self._body_bytes = 0

    def _finish(self) -> None:
        if self._waiter is None or self._waiter.done():
            self._broken = True  # a second answer to one request
            return
        try:
            content = _unpacked(b"".join(self._body), header(self._headers, b"content-encoding"))
        except LostError as error:
            self._fail(error)
            return
        status, reason = self._parser.get_status_code(), self._reason.decode("latin-1")
        self._waiter.set_result(Answer(status, reason, self._headers, content))
        self._is_used = True
        self._body = []

    def _fail(self, error: LostError) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._broken = True
            self._waiter.set_exception(error)

    def _look_at_the_time(self) -> None:
        """Give up on an answer of which nothing was heard for long, or that takes for ever.

        One timer serves many requests: setting one for each would cost as much as reading it.
        """
        self._watch = None
        if self._waiter is None:
            return
        due = min(self._heard + self._timeout, self._begun + PATIENCE_FOR_ALL * self._timeout)
        if self._loop.time() >= due:
            self._fail(LostError("no answer in time"))
        else:
            self._watch = self._loop.call_at(due, self._look_at_the_time)


def _head(netloc: str, origin: Origin) -> bytes:
    """Return the headers that all requests share."""
    headers = {"Host": netloc, "Accept-Encoding": "gzip, deflate", **origin.headers}
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")


def _unpacked(content: bytes, packing: str) -> bytes:
    """Return a body without its packing; raises LostError if there is no sense or no end in it."""
    packing = packing.strip().lower()
    if packing in {"", "identity"} or not content:
        return content
    if packing not in _WINDOWS:
        raise LostError("the answer is packed in a way that was not asked for")
    unpacking = zlib.decompressobj(_window(packing, content))
    try:
        unpacked = unpacking.decompress(content, LARGEST_ANSWER + 1)
    except zlib.error as error:
        raise LostError(f"the answer is packed wrongly: {error}") from error
    if len(unpacked) > LARGEST_ANSWER:
        raise TooLargeError
    if not unpacking.eof:
        raise LostError("the answer is packed wrongly: it ends too early")
    return unpacked


def _window(packing: str, content: bytes) -> int:
    """Return how zlib unpacks a body; some servers send ``deflate`` without what goes around it."""
    is_wrapped = content[0] & 15 == zlib.DEFLATED and int.from_bytes(content[:2], "big") % 31 == 0
    return -zlib.MAX_WBITS if packing == "deflate" and not is_wrapped else _WINDOWS[packing]


def _sentence(error: Exception) -> str:
    """Return what the system says of an error, without its numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate was refused: {error.verify_message}"
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}".lower()
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        # asyncio names every address that it tried, which says no more than the first.
        return os.strerror(error.errno).lower() if error.errno else "no address could be reached"
    return str(error) or type(error).__name__
