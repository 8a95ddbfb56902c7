"""A proxy before the real service that lets everything through but what a test meddles with."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @property
    def json(self) -> Json:
        value: Json = json.loads(self.content)
        return value


#: A connection that is cut instead of an answer.
CUT = Answer(0, b"")


def answer(status: int, body: Json, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {"Content-Type": "application/json"}
    return Answer(status, json.dumps(body).encode(), {**kind, **named})


def page(status: int) -> Answer:
    """Return what a proxy says that has lost its way."""
    content = f"<html><body><h1>{status}</h1>nginx</body></html>".encode()
    return Answer(status, content, {"Content-Type": "text/html"})


@dataclass(frozen=True, slots=True)
class Request:
    """What the client sent, and when on the clock of the machine."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    at: float

    def __str__(self) -> str:
        return f"{self.method} {urlsplit(self.path).path.removeprefix('/v1/repo/')}"


#: Gets the request and what lets it through.
Meddling: TypeAlias = "Callable[[Request, Callable[[], Answer]], Answer]"


@dataclass(slots=True)
class _Rule:
    pattern: str
    meddling: Meddling
    times: float
    after: int
    met: bool = False


class Meddler:
    """Notes every request, and applies the first rule that concerns it."""

    def __init__(self, upstream: str) -> None:
        self.requests: list[Request] = []
        self.url = ""
        self._upstream = urlsplit(upstream).netloc
        self._rules: list[_Rule] = []
        self._guard = threading.Lock()

    def on(
        self, pattern: str, meddling: Meddling | Answer, *, times: float = inf, after: int = 0
    ) -> None:
        """Meddle with requests like ``POST .*/stim``: so many, after so many went through."""
        given = (lambda request, forward: meddling) if isinstance(meddling, Answer) else meddling
        self._rules.append(_Rule(pattern, given, times, after))

    def changes(self, pattern: str, change: Callable[[Json], Json], **when: Any) -> None:
        """Change the bodies of good answers."""

        def changed(request: Request, forward: Callable[[], Answer]) -> Answer:
            given = forward()
            return answer(given.status, change(given.json)) if given.status == 200 else given

        self.on(pattern, changed, **when)

    def behave(self) -> None:
        """Forget all rules and requests; a rule that nothing met tested nothing."""
        unmet = [rule.pattern for rule in self._rules if not rule.met]
        self._rules.clear()
        self.requests.clear()
        assert not unmet

    def sent(self, pattern: str) -> list[Request]:
        """Return the requests that are like ``POST .*/stim``."""
        return [request for request in self.requests if re.fullmatch(pattern, str(request))]

    @property
    def writes(self) -> list[str]:
        return [str(request) for request in self.requests if request.method != "GET"]

    def handle(self, request: Request) -> Answer:
        with self._guard:
            self.requests.append(request)
            rule = self._rule(request)

        def forward() -> Answer:
            return self.forward(request)

        return rule.meddling(request, forward) if rule else forward()

    def _rule(self, request: Request) -> _Rule | None:
        for rule in self._rules:
            if re.fullmatch(rule.pattern, str(request)):
                if rule.after > 0:
                    rule.after -= 1
                elif rule.times > 0:
                    rule.times -= 1
                    rule.met = True
                    return rule
        return None

    def forward(self, request: Request) -> Answer:
        """Let a request through."""
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        connection.request(request.method, request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        given = Answer(response.status, response.read())
        connection.close()
        return given

    def beside(self, request: Request, method: str, path: str) -> Answer:
        """Do something else in the name of the same user."""
        return self.forward(Request(method, f"/v1/repo/{path}", b"", request.headers, request.at))


_PASSED_ON = ("Authorization", "X-User-Id", "Content-Type")


@contextmanager
def meddling_with(upstream: str) -> Iterator[Meddler]:
    """Run a proxy before a service."""
    meddler = Meddler(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
            self._send(
                meddler.handle(Request(self.command, self.path, body, kept, time.monotonic()))
            )

        def _send(self, given: Answer) -> None:
            if given is CUT:
                self.close_connection = True
                return
            head = "".join(
                f"{name}: {value}\r\n"
                for name, value in {**given.headers, "Content-Length": len(given.content)}.items()
            )
            self.wfile.write(f"HTTP/1.1 {given.status} x\r\n{head}\r\n".encode() + given.content)

        def log_request(self, code: object = None, size: object = None) -> None:
            """Say nothing."""

    for method in ("GET", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._serve)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        meddler.url = f"http://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield meddler
        finally:
            server.shutdown()
            serving.join()
