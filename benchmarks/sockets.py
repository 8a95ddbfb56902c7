"""The least that a client can do: bytes out, bytes in, on one asyncio socket. Two baselines.

A protocol, which the loop hands what arrives, is the leanest way there is; a raw socket, which
waits for the loop at every step, the plainest.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any
from urllib.parse import urlsplit

from benchmarks.world import KEY

_CHUNK = 65_536


class Wire(asyncio.Protocol):
    """One connection to the stub, one request at a time; knows the stub's answers alone."""

    def __init__(self) -> None:
        self._arrived = b""
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    async def ask(self, request: bytes) -> dict[str, Any]:
        """Send a request and return its answer, parsed."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        value: dict[str, Any] = json.loads(await self._answer)
        return value

    def data_received(self, data: bytes) -> None:
        """Hand over the body of an answer once all of it is there."""
        self._arrived += data
        body = _body(self._arrived)
        if body is not None:
            self._arrived = b""
            self._answer.set_result(body)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


class RawWire:
    """The same by ``sock_sendall`` and ``sock_recv`` of the loop."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    async def ask(self, request: bytes) -> dict[str, Any]:
        """Send a request and return its answer, parsed."""
        loop, arrived = asyncio.get_running_loop(), b""
        await loop.sock_sendall(self._socket, request)
        while (body := _body(arrived)) is None:
            arrived += await loop.sock_recv(self._socket, _CHUNK)
        value: dict[str, Any] = json.loads(body)
        return value

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _body(arrived: bytes) -> bytes | None:
    """Return the body of an answer once all of it is there."""
    head = arrived.find(b"\r\n\r\n")
    if head < 0:
        return None
    _, _, length = arrived[:head].partition(b"content-length: ")
    return arrived[head + 4 :] if len(arrived) == head + 4 + int(length) else None


async def connect_raw(url: str) -> RawWire:
    """Return an open raw connection."""
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", urlsplit(url).port or 80))
    return RawWire(sock)


async def connect(url: str) -> Wire:
    """Return an open connection."""
    port = urlsplit(url).port
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(Wire, "127.0.0.1", port or 80)
    return wire


def request(method: str, path: str) -> bytes:
    """Return a request without a body, with the headers that any client of the API sends."""
    lines = (
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {KEY}",
        "Accept: application/json",
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
