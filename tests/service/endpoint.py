"""A model endpoint for tests: speaks enough of the OpenAI API, and does what a test says."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Json = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What the endpoint says to one call, after how many seconds; ``cut`` hangs up instead."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False


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


def completion(text: str | None, **message: Any) -> Json:
    """Return a chat completion as vendors send it."""
    reason = message.pop("finish_reason", "stop")
    said = {"role": "assistant", "content": text, **message}
    return {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": said, "finish_reason": reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def numbered(*items: str) -> Said:
    """Return a completion that is a numbered list."""
    return Said(completion("\n".join(f"{n}. {item}" for n, item in enumerate(items, start=1))))


def echo(asked: Asked) -> Said:
    """Answer a question with the question."""
    return Said(completion(f"re: {asked.text}"))


class Endpoint:
    """An endpoint on a loopback port; ``says`` decides what it answers and may be replaced."""

    def __init__(self, says: Callable[[Asked], Said]) -> None:
        self.says = says
        self.asked: list[Asked] = []
        self.is_ready = True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    @contextmanager
    def running(self) -> Iterator[Endpoint]:
        """Serve for the duration."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                status = 200 if endpoint.is_ready else 503
                self.answer(Said({"data": []}, status))

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                asked = Asked(self.path, dict(self.headers), json.loads(raw))
                endpoint.asked.append(asked)
                self.answer(endpoint.says(asked))

            def answer(self, said: Said) -> None:
                time.sleep(said.delay)
                if said.cut:
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


@contextmanager
def endpoint(says: Callable[[Asked], Said] = echo) -> Iterator[Endpoint]:
    """Run an endpoint for the duration."""
    with Endpoint(says).running() as running:
        yield running
