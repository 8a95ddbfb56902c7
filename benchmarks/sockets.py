"""The least that a client can do: bytes out, bytes in, on one asyncio socket. A baseline."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from benchmarks.world import KEY


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
        head = self._arrived.find(b"\r\n\r\n")
        if head < 0:
            return
        _, _, length = self._arrived[:head].partition(b"content-length: ")
        if len(self._arrived) == head + 4 + int(length):
            body, self._arrived = self._arrived[head + 4 :], b""
            self._answer.set_result(body)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


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
