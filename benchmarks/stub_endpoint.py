"""A model endpoint that costs next to nothing and takes a set time for every answer.

Prints the port it listens on and the length of an answer. Speaks just enough HTTP for a benchmark.

    python benchmarks/stub_endpoint.py SECONDS
"""

from __future__ import annotations

import asyncio
import json
import sys

ANSWER = {
    "id": "stub",
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "An answer of the usual length. " * 8},
        }
    ],
    "usage": {"prompt_tokens": 50, "completion_tokens": 60, "total_tokens": 110},
}
_BODY = json.dumps(ANSWER).encode()
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY)
) + _BODY


class Stub(asyncio.Protocol):
    """One connection, and what has arrived of its next request."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._arrived = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request once its time has come."""
        self._arrived += data
        while (end := _end(self._arrived)) is not None:
            self._arrived = self._arrived[end:]
            loop = asyncio.get_running_loop()
            loop.call_later(self._seconds, self._transport.write, RESPONSE)


def _end(arrived: bytes) -> int | None:
    """Return where the first request ends; None if it has not arrived whole."""
    head = arrived.find(b"\r\n\r\n")
    if head < 0:
        return None
    _, _, after = arrived[:head].lower().partition(b"content-length:")
    end = head + 4 + int(after.partition(b"\r\n")[0] or 0)
    return end if len(arrived) >= end else None


async def _serve(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stub(seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], len(RESPONSE), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
