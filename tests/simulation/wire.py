"""The world as a server, spoken to through the real client with its parsing, retries and headers.

Only the sockets are missing. Faults are those of servers, proxies and cables: 429 with and without
``Retry-After``, pages of proxies, bodies cut short, connections refused or lost, redirects. The key
may be seen by this server alone.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx

from reconciler.client import Api, Http, HttpSettings
from reconciler.client.proxied import ProxiedTransport
from reconciler.core import errors
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import Absent, LiveStage

from .figures import FIGURES
from .world import World, hang_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from reconciler.client.transport import Origin, Transport

KEY = "the-secret-key-of-this-simulation"
ELSEWHERE = "http://elsewhere.example"
_STATUS = {
    errors.AuthenticationError: 401,
    errors.PaymentRequiredError: 402,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
}
_GATEWAY_TROUBLE = (502, 503, 404, 404)


@asynccontextmanager
async def over_the_wire(world: World, base_url: str) -> AsyncIterator[Api]:
    """Open a session of the real client with the world."""
    settings = HttpSettings(base_url, KEY)

    def connect(origin: Origin) -> Transport:
        return ProxiedTransport(origin, Wire(world))

    async with Http(settings, world.clock, connect=connect, draw=world.draw) as http:
        yield Api(http)


class Wire(httpx.AsyncBaseTransport):
    """Carries requests to the world, and what it makes of the answers back."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        FIGURES.count("requests over the wire")
        if request.url.host != "localhost":
            return self._stranger(request)
        weather, happens = self._world.weather, self._world.happens
        if happens(weather.down / 10, "connection refused"):
            raise httpx.ConnectError("connection refused", request=request)
        if happens(weather.limited, "429"):
            return self._slow_down()
        if happens(weather.garbled / 2, "page of a proxy"):
            return httpx.Response(self._world.draw.choice(_GATEWAY_TROUBLE), html="<h1>Oops</h1>")
        if happens(weather.redirected, "redirect to elsewhere"):
            return httpx.Response(307, headers={"Location": ELSEWHERE + request.url.path})
        answer = await self._answered(request)
        if happens(weather.garbled / 2, "connection cut in the answer"):
            raise httpx.RemoteProtocolError("peer closed the connection", request=request)
        if happens(weather.garbled / 4, "half an answer"):
            half = answer.content[: len(answer.content) // 2]
            kind = {"Content-Type": "application/json"}
            return httpx.Response(answer.status_code, content=half, headers=kind)
        return answer

    def _stranger(self, request: httpx.Request) -> httpx.Response:
        """Answer as somebody else, who may not have seen the key."""
        if KEY in str(request.headers.multi_items()):
            self._world.breaks(f"the key went to {request.url.host}")
        return httpx.Response(404)

    def _slow_down(self) -> httpx.Response:
        after = self._world.draw.choice(({}, {"Retry-After": "3"}, {"Retry-After": "nonsense"}))
        return httpx.Response(429, headers=after, json={"error": "Too many requests"})

    async def _answered(self, request: httpx.Request) -> httpx.Response:
        parts = [unquote(part) for part in request.url.raw_path.decode().split("?")[0].split("/")]
        body = json.loads(request.content) if request.content else {}
        try:
            return httpx.Response(200, json=await self._route(request.method, parts[3:], body))
        except errors.UnreachableError as error:
            hang_up()
            if self._world.draw.random() < 0.5:
                return httpx.Response(503, json={"error": error.message})
            raise httpx.ReadTimeout("no answer in time", request=request) from error
        except errors.ApiError as error:
            hang_up()
            return httpx.Response(_STATUS.get(type(error), 400), json={"message": error.message})

    async def _route(self, method: str, path: list[str], body: dict[str, Any]) -> dict[str, Any]:
        match method, path:
            case "GET", [repo]:
                seen = _found(await self._world.repo(repo))
                return {"repo_name": repo, "base_model": seen.base_model}
            case "GET", [repo, "prompts", *rest]:
                return await self._prompts(repo, *rest)
            case "GET", [repo, "targets", *rest]:
                return await self._targets(repo, *rest)
            case "POST", [repo, "targets", name, stage]:
                return _status(await self._world.run(repo, name, Stage(stage)))
            case "POST", [repo, "prompts", "batch"]:
                return _judged(await self._world.create_prompts(repo, body["prompts"]))
            case "POST", [repo, "targets", "batch"]:
                return _judged(await self._world.create_targets(repo, body["targets"]))
        await self._change(method, path, body)
        return {"message": "done"}

    async def _prompts(self, repo: str, name: str = "") -> dict[str, Any]:
        if not name:
            return {"prompts": sorted(await self._world.prompt_names(repo))}
        return {"prompt_name": name, **_found(await self._world.prompt(repo, name)).content}

    async def _targets(
        self, repo: str, name: str = "", stage: str = "", output: str = ""
    ) -> dict[str, Any]:
        if not name:
            return {"targets": sorted(await self._world.target_names(repo))}
        if not stage:
            config = _found(await self._world.target(repo, name)).config
            return {"target_name": name, "config": config}
        return _status(await self._world.stage(repo, name, Stage(stage)))

    async def _change(self, method: str, path: list[str], body: dict[str, Any]) -> None:
        match method, path:
            case "POST", []:
                await self._world.create_repo(body["repo_name"], body.get("base_model"))
            case "POST", [repo, "prompts"]:
                await self._world.create_prompt(repo, body.pop("prompt_name"), body)
            case "POST", [repo, "targets"]:
                await self._world.create_target(repo, body)
            case "DELETE", [repo, "targets", name]:
                await self._world.delete_target(repo, name)
            case _:
                raise AssertionError(f"nobody asks for {method} {path}")


def _found(seen: Any) -> Any:
    if isinstance(seen, Absent):
        raise errors.NotFoundError("not found")
    return seen


def _judged(verdicts: Mapping[str, str | None]) -> dict[str, Any]:
    failed = {name: why for name, why in verdicts.items() if why is not None}
    return {"created": [name for name in verdicts if name not in failed], "failed": failed}


def _status(seen: LiveStage) -> dict[str, Any]:
    told = {
        "status": seen.status,
        "lines": seen.lines,
        "total_expected": seen.expected,
        "error": seen.error,
        "progress_percent": seen.progress,
    }
    return {key: value for key, value in told.items() if value is not None}
