"""A model endpoint for tests: speaks enough of the OpenAI API, and does what a test says."""

from __future__ import annotations

import json
import select
import socket
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Json = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What the endpoint says to one call, after how many seconds.

    ``cut`` hangs up instead; ``wire`` is sent as it is, in place of an answer, before hanging up.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    wire: bytes | None = None


@dataclass(frozen=True)
class Asked:
    """What the endpoint was asked."""

    path: str
    headers: Mapping[str, str]
    body: Json

    @property
    def text(self) -> str:
        """The last message."""
        return str(self.body["messages"][-1]["content"])


def completion(text: Any, **message: Any) -> Json:
    """Return a chat completion as vendors send it."""
    reason = message.pop("finish_reason", "stop")
    said = {"role": "assistant", "content": text, **message}
    return {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": said, "finish_reason": reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def numbered(*items: str, **message: Any) -> Said:
    """Return a completion that is a numbered list."""
    lines = (f"{n}. {item}" for n, item in enumerate(items, start=1))
    return Said(completion("\n".join(lines), **message))


def echo(asked: Asked) -> Said:
    """Answer a question with the question."""
    return Said(completion(f"re: {asked.text}"))


class Endpoint:
    """An endpoint on a loopback port.

    ``says`` decides what it answers to calls, ``models`` is what it answers when somebody looks
    whether it is there; both may be replaced. ``asked`` and ``looks`` remember both kinds of
    requests. ``most`` is how many calls were under way at once, ``gone`` how many callers hung up
    while they waited.
    """

    def __init__(self, says: Callable[[Asked], Said]) -> None:
        self.reset(says)
        self._under_way = 0
        self._counting = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def reset(self, says: Callable[[Asked], Said]) -> None:
        """Forget what was asked, and be as good as new."""
        self.says = says
        self.models = Said({"data": []})
        self.asked: list[Asked] = []
        self.looks: list[Mapping[str, str]] = []
        self.most = self.gone = 0

    @contextmanager
    def running(self) -> Iterator[Endpoint]:
        """Serve for the duration."""
        thread = threading.Thread(target=self._server.accept_all, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.socket.shutdown(socket.SHUT_RDWR)
            thread.join()
            self._server.server_close()

    @contextmanager
    def _counted(self, asked: Asked) -> Iterator[None]:
        with self._counting:
            self.asked.append(asked)
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        try:
            yield
        finally:
            with self._counting:
                self._under_way -= 1

    def _hung_up(self) -> None:
        with self._counting:
            self.gone += 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                endpoint.looks.append(dict(self.headers))
                self.answer(endpoint.models)

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                asked = Asked(self.path, dict(self.headers), json.loads(raw))
                with endpoint._counted(asked):
                    said = endpoint.says(asked)
                    if _is_gone(self.connection, said.delay):
                        endpoint._hung_up()
                        self.close_connection = True
                        return
                self.answer(said)

            def answer(self, said: Said) -> None:
                if said.cut or said.wire is not None:
                    self.wfile.write(said.wire or b"")
                    self.close_connection = True
                    return
                is_raw = isinstance(said.body, bytes)
                raw = said.body if is_raw else json.dumps(said.body).encode()
                self.send_response(said.status)
                for name, value in {"Content-Length": str(len(raw)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    """A server that many may call at once, and that does not mind when they hang up."""

    daemon_threads = True
    request_queue_size = 512

    def accept_all(self) -> None:
        """Serve until the socket is shut down; unlike serve_forever, this ends at once."""
        while True:
            try:
                request, address = self.get_request()
            except OSError:
                return
            self.process_request(request, address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _is_gone(connection: socket.socket, seconds: float) -> bool:
    """Wait; say whether the caller hangs up meanwhile."""
    readable, _, _ = select.select([connection], [], [], seconds)
    try:
        return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
    except ConnectionError:
        return True


@contextmanager
def endpoint(says: Callable[[Asked], Said] = echo) -> Iterator[Endpoint]:
    """Run an endpoint for the duration."""
    with Endpoint(says).running() as running:
        yield running
