"""HTTP through the proxies that the environment names, by httpx, which knows how to ask them."""

from __future__ import annotations

import asyncio
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING

import httpx

from reconciler.client.tls import tls_context
from reconciler.client.transport import (
    LARGEST_ANSWER,
    PATIENCE_FOR_ALL,
    Answer,
    LostError,
    NotSentError,
    TooLargeError,
)
from reconciler.core.errors import ReconcilerError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from reconciler.client.transport import Origin


class ProxiedTransport:
    """httpx clients, one for every request at once.

    The pool of httpx looks at all of its connections for every request, so that a client with many
    of them costs the square of their number. A POST is not risked on a used connection once one
    was lost. With ``transport``, requests go there instead.
    """

    def __init__(self, origin: Origin, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._origin = origin
        self._transport = transport
        secure = origin.base_url.startswith("https:") and transport is None
        self._verify = tls_context() if secure else False
        self._idle: list[httpx.AsyncClient] = []
        self._lanes: list[httpx.AsyncClient] = []
        self._is_wary = False

    async def send(self, method: str, path: str, body: bytes | None) -> Answer:
        """Send a request over a client of its own for that time."""
        lane = await self._spare(method) or self._new_lane()
        kind = {} if body is None else {"Content-Type": "application/json"}
        url = self._origin.base_url.rstrip("/") + path
        try:
            async with asyncio.timeout(PATIENCE_FOR_ALL * self._origin.timeout):
                return await _answer(lane.stream(method, url, content=body, headers=kind))
        except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout) as error:
            raise LostError("no answer in time") from error
        except httpx.ConnectTimeout as error:
            raise NotSentError("no connection in time") from error
        except (httpx.ConnectError, httpx.ProxyError, OverflowError) as error:
            raise NotSentError(str(error)) from error
        except httpx.InvalidURL as error:  # where a redirect leads, which nobody follows
            raise LostError(f"the API redirects to no address: {error}") from error
        except httpx.HTTPError as error:
            self._is_wary = self._is_wary or isinstance(error, httpx.TransportError)
            raise LostError(str(error) or type(error).__name__) from error
        finally:
            self._idle.append(lane)

    async def aclose(self) -> None:
        """Close all clients."""
        for lane in self._lanes:
            await lane.aclose()

    async def _spare(self, method: str) -> httpx.AsyncClient | None:
        """Return a client to use again, if there is one to be trusted with this method."""
        lane = self._idle.pop() if self._idle else None
        if lane and self._is_wary and method == "POST":
            self._lanes.remove(lane)
            await lane.aclose()
            return None
        return lane

    def _new_lane(self) -> httpx.AsyncClient:
        try:
            lane = httpx.AsyncClient(
                headers=dict(self._origin.headers),
                timeout=self._origin.timeout,
                transport=self._transport,
                follow_redirects=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                trust_env=True,
                verify=self._verify,
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise ReconcilerError(
                f"the proxy of the environment cannot be used: {error}",
                hint="Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; proxies are http or https.",
            ) from error
        self._lanes.append(lane)
        return lane


async def _answer(stream: AbstractAsyncContextManager[httpx.Response]) -> Answer:
    """Read an answer to its end, unless that does not come within bounds."""
    async with stream as response:
        if "," in response.headers.get("content-encoding", ""):
            raise httpx.DecodingError("the answer is packed more than once")
        content = bytearray()
        async for part in response.aiter_bytes():
            content += part
            if len(content) > LARGEST_ANSWER:
                raise TooLargeError
        headers, phrase = response.headers.raw, response.reason_phrase
        return Answer(response.status_code, phrase, headers, bytes(content))
