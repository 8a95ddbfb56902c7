"""An API in memory that keeps what it is told and completes every job at once.

It answers without a socket, so that thousands of runs fit into a test; what goes wrong on the way
is up to who overrides ``respond``.
"""

from __future__ import annotations

import asyncio
import functools
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import unquote

import httpx

from reconciler.client import Http
from reconciler.client.proxied import ProxiedTransport
from reconciler.workflow.connection import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from reconciler.client.transport import Origin, Transport

URL = "http://127.0.0.1:9"
Json = dict[str, Any]
_ROUTE = re.compile(
    r"/v1/repo(?:/(?P<repo>[^/]+))?(?:/(?P<kind>prompts|targets))?(?:/(?P<name>.+))?"
)


class Honest:
    """Repos, prompts, targets and jobs, and who asked for what."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.known: dict[str, Json] = {}

    @property
    def writes(self) -> list[str]:
        return [request for request in self.requests if not request.startswith("GET")]

    @contextmanager
    def answering(self, environment: pytest.MonkeyPatch) -> Iterator[None]:
        """Answer every request of the command line, for which time flies meanwhile."""
        environment.setenv("BREAD_BASE_URL", URL)
        flown = 0.0

        async def sleep(_: SystemClock, seconds: float) -> None:
            nonlocal flown
            flown += max(0.0, seconds)
            await asyncio.sleep(0)

        def connect(origin: Origin) -> Transport:
            return ProxiedTransport(origin, httpx.MockTransport(self._handle))

        http = functools.partial(Http, connect=connect)
        with (
            patch("reconciler.workflow.connection.Http", http),
            patch.object(SystemClock, "sleep", sleep),
            patch.object(SystemClock, "now", lambda _: time.monotonic() + flown),
        ):
            yield

    def _handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        self.requests.append(f"{request.method} {path}")
        return self.respond(request, unquote(path))

    def respond(self, request: httpx.Request, path: str) -> httpx.Response:
        """Answer as the real service would."""
        status, body = self.truth(request, path)
        return httpx.Response(status, json=body)

    def truth(self, request: httpx.Request, path: str) -> tuple[int, Json]:
        """Return what is so, after doing what is asked for."""
        if request.method == "GET":
            return self._told(path)
        if request.method == "DELETE":
            for key in [known for known in self.known if known.startswith(path)]:
                del self.known[key]
            return 200, {"message": "deleted"}
        if path.endswith(("/stim", "/rollout")):
            self.known[path] = {"status": "complete", "lines": self._lines(path), "job_id": 1}
            return 200, self.known[path]
        body = httpx.Response(200, content=request.content).json()
        items = body["targets"] if path.endswith("/batch") else [body]
        created = [self._create(path.removesuffix("/batch"), item) for item in items]
        return 201, {"created": created, "failed": {}}

    def _create(self, path: str, item: Json) -> str:
        """Create what an item describes; return its name."""
        names = {"repo_name", "prompt_name", "target_name"}
        name: str = next(value for key, value in item.items() if key in names)
        overrides = item.pop("overrides", {})
        config = {"model_name": "Qwen/Qwen3-32B", **overrides}
        self.known[f"{path}/{name}"] = {**item, "config": config} if "target" in path else item
        return name

    def _told(self, path: str) -> tuple[int, Json]:
        if path in self.known:
            return 200, self.known[path]
        found = _ROUTE.fullmatch(path)
        kind, repo = (found["kind"], found["repo"]) if found else (None, None)
        parent, stage = path.rpartition("/")[::2]
        if kind and path.endswith(f"/{kind}") and f"/v1/repo/{repo}" in self.known:
            names = [
                key.removeprefix(f"{path}/") for key in self.known if key.startswith(f"{path}/")
            ]
            return 200, {kind: [name for name in names if "/" not in name]}
        if stage in {"stim", "rollout"} and parent in self.known:
            return 200, {"status": "not_started", "lines": 0}
        return 404, {"error": "Not found"}

    def _lines(self, path: str) -> int:
        config = self.known[path.rpartition("/")[0]]["config"]
        stimuli = sum(len(generator["questions"]) for generator in config["generators"])
        return stimuli * (config["num_traj_per_stimulus"] if path.endswith("rollout") else 1)
