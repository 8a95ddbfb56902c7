"""What a watch answers over HTTP: /metrics, /healthz and /readyz, and nothing else.

For collectors and probes on a network that is trusted: it asks for no key, and tells counts and
names of repos. A slow or silent client costs a thread for a few seconds and holds nobody else up.
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, NamedTuple

from reconciler import __version__
from reconciler.core.errors import ReconcilerError
from reconciler.render.openmetrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.workflow.watching.health import Health

_WRITTEN = re.compile(r"(?:(?P<host>[^:\s\[\]]+|\[[0-9a-fA-F:.]+\]):|:)?(?P<port>[0-9]{1,5})")
_HIGHEST_PORT = 65_535
_PLAIN = "text/plain; charset=utf-8"
_MOST_CONNECTIONS = 64


class Address(NamedTuple):
    """Where to listen; port 0 means any that is free."""

    host: str
    port: int


def parse(text: str) -> Address:
    """Return an address written ``9464`` or ``HOST:PORT``, this machine's own without a host.

    Raises ValueError.
    """
    match = _WRITTEN.fullmatch(text)
    if not match or int(match["port"]) > _HIGHEST_PORT:
        raise ValueError(f"{text!r} is no address; write it like 9464 or 127.0.0.1:9464")
    return Address((match["host"] or "127.0.0.1").strip("[]"), int(match["port"]))


@contextmanager
def listening(address: Address, metrics: Callable[[], str], health: Health) -> Iterator[str]:
    """Answer as long as this is entered, and yield the URL; raises ReconcilerError."""
    try:
        server = _Server(address, metrics, health)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no such host"
        where = f"{address.host}:{address.port}"
        raise ReconcilerError(f"cannot listen on {where}: {why}") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        host = f"[{address.host}]" if ":" in address.host else address.host
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: Address, metrics: Callable[[], str], health: Health) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self.metrics = metrics
        self.health = health
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: object, client_address: object) -> None:
        """Answer on a thread of its own; whoever comes when there are too many is turned away."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        try:
            super().process_request(request, client_address)  # type: ignore[arg-type]
        except RuntimeError:  # the machine has no thread left, and turns away as well
            self._free.release()
            raise

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Answer, and make room for another."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away."""

    def answer(self, path: str) -> tuple[HTTPStatus, str, str]:
        """Return status, content type and body for a path."""
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, self.metrics()
        if path == "/healthz":
            alive, age = self.health.is_alive, self.health.age
            return _verdict(good=alive, text=f"last success {age:.0f} s before")
        if path == "/readyz":
            ready = self.health.is_ready
            return _verdict(good=ready, text="a round has succeeded" if ready else "no round yet")
        return HTTPStatus.NOT_FOUND, _PLAIN, "there are /metrics, /healthz and /readyz\n"


def _verdict(*, good: bool, text: str) -> tuple[HTTPStatus, str, str]:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, _PLAIN, f"{'ok' if good else 'not ok'}: {text}\n"


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def do_GET(self) -> None:
        """Answer, with the body."""
        self.wfile.write(self._head())

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._head()

    def version_string(self) -> str:
        """Return who answers."""
        return f"reconciler/{__version__}"

    def _head(self) -> bytes:
        status, kind, text = self.server.answer(self.path.partition("?")[0])
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        return body

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: probes come every few seconds."""
