"""How connections of the web server end: by silence, half-closed, by nonsense, for want of room.

Adds to uvicorn's protocol, and changes neither what is understood nor what is answered. Knows
nothing of the API.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

BACKLOG = 128
"""Connections that wait to be accepted; all of them may be, at the same moment."""

_OTHER_FILES = 512
"""What may be open besides: connections to a model endpoint, above all, and the database."""
_LEAST_CONNECTIONS = 64
_UNLIMITED = 65536
_CLIENTS_TURN = (h11.IDLE, h11.SEND_BODY)
_UNANSWERED = (h11.IDLE, h11.SEND_RESPONSE)
_ANSWERING = (h11.SEND_RESPONSE, h11.SEND_BODY)


def most_connections() -> int:
    """Return how many connections the limit of open files (``ulimit -n``) leaves room for.

    Where files run out, the event loop does little else than try to accept connections.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _UNLIMITED if soft == resource.RLIM_INFINITY else soft
    return max(files - BACKLOG - _OTHER_FILES, _LEAST_CONNECTIONS)


class Connection(H11Protocol):
    """One connection.

    It is closed when its client owes something, be it the rest of a head or of a body, and is
    silent for as long as an idle connection may be kept. A client that has said all it will say
    (``shutdown``) still gets the answers to what it asked. Where there are too many, the one whose
    client has been silent longest makes room.
    """

    _is_half_closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Await the first request, but not for ever."""
        super().connection_made(transport)
        self._await_more()
        if len(self.connections) > most_connections():
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Take what came, and await what is missing."""
        super().data_received(data)
        self._await_more()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio wants to know
        """Say whether to keep the connection for answers that are to come."""
        self._is_half_closed = True
        return self._is_answering()

    def on_response_complete(self) -> None:
        """Go on with the next request, if there is one."""
        super().on_response_complete()
        if self._is_half_closed and not self._is_answering():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse nonsense, where no answer has begun that it would be taken for a part of."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        if self.conn.our_state in _UNANSWERED:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _await_more(self) -> None:
        is_awaited = self.conn.their_state in _CLIENTS_TURN and not self.flow.read_paused
        if is_awaited and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.transport.close
            )

    def _make_room(self) -> None:
        """Close the connection that has been silent longest, unless all others await answers."""
        silent = {
            each.timeout_keep_alive_task.when(): each
            for each in self.connections - {self}
            if isinstance(each, Connection) and each.timeout_keep_alive_task is not None
        }
        if silent:
            longest = silent[min(silent)]
            self.connections.discard(longest)
            longest.transport.close()

    def _is_answering(self) -> bool:
        is_whole = self.conn.their_state is not h11.SEND_BODY
        return is_whole and self.conn.our_state in _ANSWERING
