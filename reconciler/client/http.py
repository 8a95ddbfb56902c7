"""One HTTP session: authentication, retries, the rate limit that all tasks share, errors.

What may be repeated is: connections that failed, and 429 (the request was refused). 5xx answers and
lost ones are repeated only where the caller says that doing it twice is the same as once.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import random
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import httpx

from reconciler import __version__
from reconciler.client.urls import is_loopback
from reconciler.core import errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from reconciler.core.clock import Clock

_REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 300, 400, 500
_TOO_MANY_REQUESTS = 429
_BY_STATUS: Mapping[int, type[errors.ApiError]] = {
    401: errors.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: errors.AuthenticationError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
}
_HINTS = {
    401: "Check BREAD_API_KEY, and that it belongs to this API.",
    402: "Top up the account; nothing more is started until then.",
    403: "Acting for another user needs the master key.",
}
_SENTENCE_LIMIT = 500
#: No header may hold a run up for longer, in seconds.
_LONGEST_HOLD = 600.0
#: The most bytes that an answer may have, unpacked.
LARGEST_ANSWER = 64_000_000
#: How much longer the whole of an answer may take than any part of it.
_PATIENCE_FOR_ALL = 4


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a request is repeated; delays in seconds."""

    attempts: int = 4
    first_delay: float = 0.4
    factor: float = 2.0
    longest_delay: float = 20.0
    #: 429 says when to come back, so it deserves more patience.
    attempts_when_limited: int = 12

    def delay(self, attempt: int, draw: float) -> float:
        """Return the delay after the given attempt (from 1); ``draw`` in [0, 1) spreads it."""
        longest = min(self.longest_delay, self.first_delay * self.factor ** (attempt - 1))
        return longest * (0.5 + draw / 2)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read to its end."""

    status_code: int
    reason_phrase: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_redirect(self) -> bool:
        """Tell whether the API points elsewhere."""
        return _REDIRECT <= self.status_code < _CLIENT_ERROR


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where the API is and how to speak to it. The key is never shown by ``repr``."""

    base_url: str
    key: str = field(repr=False)
    user_id: str | None = None
    #: Requests under way at once, in the whole client.
    concurrency: int = 32
    timeout: float = 30.0
    retry: RetryPolicy = RetryPolicy()


class Http:
    """An open session; use it as an async context manager."""

    def __init__(
        self,
        settings: HttpSettings,
        clock: Clock,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        draw: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self.requests = 0
        self._clock = clock
        self._draw = draw or random.Random()  # noqa: S311 - spreads delays, keeps no secret
        self._gate = asyncio.Semaphore(settings.concurrency)
        self._resume_at = 0.0
        self._transport = transport
        self._network = _network(settings.base_url)
        self._idle: list[httpx.AsyncClient] = []
        self._lanes: list[httpx.AsyncClient] = []

    async def __aenter__(self) -> Http:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for lane in self._lanes:
            await lane.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str | int] | None = None,
        repeatable: bool = True,
    ) -> dict[str, Any]:
        """Send a request and return the JSON object it is answered with; raises ApiError."""
        response = await self._send(method, path, body, params, repeatable=repeatable)
        if response.status_code >= _CLIENT_ERROR:
            raise _refusal(response, method, path)
        if response.is_redirect:
            raise errors.UnreachableError(
                f"{method} {path}: the API redirects to {response.headers.get('location', '?')}",
                hint="Give the final address as --api-url: the key follows no redirect.",
            )
        return _object(response, method, path)

    async def _send(
        self,
        method: str,
        path: str,
        body: Any,
        params: Mapping[str, str | int] | None,
        *,
        repeatable: bool,
    ) -> Answer:
        attempt = limited = 0
        while True:
            await self._wait_for_permission()
            try:
                response = await self._once(method, path, body, params)
            except httpx.InvalidURL as error:  # where a redirect leads, which nobody follows
                raise errors.UnreachableError(
                    f"{method} {path}: the API redirects to no address: {error}"
                ) from error
            except httpx.HTTPError as error:
                attempt += 1
                safe = repeatable or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if not safe or attempt >= self.settings.retry.attempts:
                    raise errors.UnreachableError(
                        f"{method} {path}: {_describe(error)}",
                        hint=f"Is {self.settings.base_url} the right address, and is it up?",
                    ) from error
                await self._pause(attempt)
                continue
            if response.status_code == _TOO_MANY_REQUESTS:
                limited += 1
                if limited < self.settings.retry.attempts_when_limited:
                    self._hold_everything(response, limited)
                    continue
            elif response.status_code >= _SERVER_ERROR and repeatable:
                attempt += 1
                if attempt < self.settings.retry.attempts:
                    await self._pause(attempt)
                    continue
            return response

    async def _once(
        self, method: str, path: str, body: Any, params: Mapping[str, str | int] | None
    ) -> Answer:
        async with self._gate:
            self.requests += 1
            lane = self._idle.pop() if self._idle else self._new_lane()
            try:
                async with asyncio.timeout(_PATIENCE_FOR_ALL * self.settings.timeout):
                    return await _answer(lane.stream(method, path, json=body, params=params))
            except TimeoutError as error:
                raise httpx.ReadTimeout("no whole answer in time") from error
            finally:
                self._idle.append(lane)

    def _new_lane(self) -> httpx.AsyncClient:
        """Return a client that is used for one request at a time.

        The pool of httpx looks at all of its connections for every request, so that a client with
        many of them costs the square of their number.
        """
        try:
            lane = httpx.AsyncClient(
                base_url=self.settings.base_url,
                headers=_headers(self.settings),
                timeout=self.settings.timeout,
                transport=self._transport,
                follow_redirects=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                **self._network,
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise errors.ReconcilerError(
                f"the proxy of the environment cannot be used: {error}",
                hint="Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; proxies are http or https.",
            ) from error
        self._lanes.append(lane)
        return lane

    async def _pause(self, attempt: int) -> None:
        await self._clock.sleep(self.settings.retry.delay(attempt, self._draw.random()))

    def _hold_everything(self, response: Answer, attempt: int) -> None:
        """Slow the whole client down after a 429, not just the task that met it."""
        wait = _retry_after(response)
        if wait is None:
            wait = self.settings.retry.delay(attempt, self._draw.random())
        self._resume_at = max(self._resume_at, self._clock.now() + wait)

    async def _wait_for_permission(self) -> None:
        while (wait := self._resume_at - self._clock.now()) > 0:
            await self._clock.sleep(wait)


def _headers(settings: HttpSettings) -> dict[str, str]:
    key = settings.key.strip()
    if not (key.isascii() and key.isprintable()):
        # The library that sends headers quotes what it refuses: the key must not get that far.
        raise errors.ReconcilerError(
            "the API key holds characters that no key has", hint="Check BREAD_API_KEY."
        )
    headers = {
        "Authorization": f"Bearer {key}",
        "User-Agent": f"reconciler/{__version__}",
        "Accept": "application/json",
    }
    return headers | ({"X-User-Id": settings.user_id} if settings.user_id else {})


def _network(base_url: str) -> dict[str, Any]:
    """Return what loopback does without: proxies from the environment, and a TLS context.

    Making a TLS context takes longer than most requests, so that one is shared.
    """
    parts = urlsplit(base_url)
    try:
        verify = httpx.create_ssl_context() if parts.scheme == "https" else False
    except OSError as error:
        raise errors.ReconcilerError(
            f"the certificates of the environment cannot be used: {error.strerror or error}",
            hint="Check SSL_CERT_FILE and SSL_CERT_DIR.",
        ) from error
    return {"trust_env": not is_loopback(parts.hostname or ""), "verify": verify}


async def _answer(stream: AbstractAsyncContextManager[httpx.Response]) -> Answer:
    """Read an answer to its end, unless that does not come within bounds."""
    async with stream as response:
        if "," in response.headers.get("content-encoding", ""):
            raise httpx.DecodingError("the answer is packed more than once")
        content = bytearray()
        async for part in response.aiter_bytes():
            content += part
            if len(content) > LARGEST_ANSWER:
                raise errors.UnreachableError(
                    f"{response.request.method} {response.request.url.path}: the answer is larger "
                    f"than {LARGEST_ANSWER // 1_000_000} MB"
                )
        headers = dict(response.headers)
        return Answer(response.status_code, response.reason_phrase, headers, bytes(content))


def _object(response: Answer, method: str, path: str) -> dict[str, Any]:
    value = _parsed(response.content)
    if not isinstance(value, dict):
        raise errors.UnreachableError(f"{method} {path}: the answer is no JSON object")
    return value


def _refusal(response: Answer, method: str, path: str) -> errors.ApiError:
    status = response.status_code
    sentence = sentence_of(response.content) or response.reason_phrase or "no reason given"
    kind = _BY_STATUS.get(status, errors.ApiError)
    if status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS or not _speaks_json(response):
        # A 404 of a proxy is not the API's word that something is absent.
        trusted = {401, 402, 403}
        kind = kind if status in trusted else errors.UnreachableError
    return kind(f"{method} {path}: {status}: {sentence}", hint=_HINTS.get(status, ""))


def _speaks_json(response: Answer) -> bool:
    return isinstance(_parsed(response.content), dict)


def _parsed(content: bytes) -> Any:
    """Return the JSON value of a body; None for what is none, such as NaN or a number too large."""
    try:
        return json.loads(content, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def sentence_of(content: bytes) -> str:
    """Return the human sentence of an error body, whichever of the known shapes it has.

    Three JSON shapes are in use (``error``, ``message``, and a ``detail`` list or string); a body
    that is none of them, such as a proxy's HTML page, yields nothing.
    """
    body = _parsed(content)
    if not isinstance(body, dict):
        return ""
    found = (body.get(key) for key in ("error", "message", "detail"))
    texts = (_text(value) for value in found)
    return next((text[:_SENTENCE_LIMIT] for text in texts if text), "")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dict):
        return _text(value.get("message") or value.get("msg"))
    if isinstance(value, list):
        return "; ".join(_validation(item) for item in value if isinstance(item, dict))
    return ""


def _validation(item: Mapping[str, Any]) -> str:
    place = item.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return f"{where}: {item.get('msg', 'invalid')}" if where else str(item.get("msg", "invalid"))


def _retry_after(response: Answer) -> float | None:
    """Return the seconds of a ``Retry-After`` header, given as a number or as a date."""
    text = response.headers.get("retry-after", "")
    try:
        return _held(float(text))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(text)
        sent = email.utils.parsedate_to_datetime(response.headers.get("date", ""))
        return _held((moment - sent).total_seconds())
    except (ValueError, TypeError, OverflowError):  # no date, or one without a time zone
        return None


def _held(seconds: float) -> float:
    return min(_LONGEST_HOLD, max(0.0, seconds))


def _describe(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return str(error) or type(error).__name__
