"""One HTTP session: authentication, retries, the rate limit that all tasks share, errors.

What may be repeated is: connections that failed, and 429 (the request was refused). 5xx answers and
lost ones are repeated only where the caller says that doing it twice is the same as once.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode, urlsplit

from reconciler import __version__
from reconciler.client.transport import LostError, NotSentError, Origin, TooLargeError
from reconciler.client.urls import is_loopback
from reconciler.core import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from reconciler.client.transport import Answer, Transport
    from reconciler.core.clock import Clock

_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_NOT_FOUND, _TOO_MANY_REQUESTS = 404, 429
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
#: What names a proxy in the environment, in either case.
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


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
class HttpSettings:
    """Where the API is and how to speak to it. The key is never shown by ``repr``."""

    base_url: str
    key: str = field(repr=False)
    user_id: str | None = None
    #: Requests under way at once, in the whole client.
    concurrency: int = 32
    timeout: float = 30.0
    retry: RetryPolicy = RetryPolicy()
    #: Told of every request what came of it, in one of the words of ``_outcome``, or ``lost``.
    ended: Callable[[str], object] = field(default=lambda _: None, repr=False, compare=False)


class Http:
    """An open session; use it as an async context manager."""

    def __init__(
        self,
        settings: HttpSettings,
        clock: Clock,
        *,
        connect: Callable[[Origin], Transport] | None = None,
        draw: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self.requests = 0
        self._clock = clock
        self._draw = draw or random.Random()  # noqa: S311 - spreads delays, keeps no secret
        self._gate = asyncio.Semaphore(settings.concurrency)
        self._resume_at = 0.0
        self._transport = (connect or carrier)(_origin(settings))

    async def __aenter__(self) -> Http:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.aclose()

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
            where = response.header("location") or f"no address ({response.status_code})"
            raise errors.UnreachableError(
                f"{method} {path}: the API redirects to {where}",
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
        content = None if body is None else _ENCODER.encode(body).encode()
        query = f"{path}?{urlencode(params)}" if params else path
        while True:
            if self._resume_at:
                await self._wait_for_permission()
            try:
                async with self._gate:
                    self.requests += 1
                    response = await self._transport.send(method, query, content)
            except LostError as error:
                self.settings.ended("lost")
                attempt += 1
                safe = repeatable or isinstance(error, NotSentError)
                final = isinstance(error, TooLargeError) or not safe
                if final or attempt >= self.settings.retry.attempts:
                    raise errors.UnreachableError(
                        f"{method} {path}: {error}",
                        hint=f"Is {self.settings.base_url} the right address, and is it up?",
                    ) from error
                await self._pause(attempt)
                continue
            self.settings.ended(_outcome(response.status_code))
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


def _origin(settings: HttpSettings) -> Origin:
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
    user = {"X-User-Id": settings.user_id} if settings.user_id else {}
    return Origin(settings.base_url, headers | user, settings.timeout)


def _outcome(status: int) -> str:
    if status == _TOO_MANY_REQUESTS:
        return "rate_limited"
    if status == _NOT_FOUND:
        return "absent"
    if status >= _SERVER_ERROR:
        return "server_error"
    return "refused" if status >= _CLIENT_ERROR else "ok"


def carrier(origin: Origin) -> Transport:
    """Return what carries requests: direct connections, unless the environment names a proxy."""
    loopback = is_loopback(urlsplit(origin.base_url).hostname or "")
    if not loopback and any(os.environ.get(n) or os.environ.get(n.lower()) for n in _PROXIES):
        from reconciler.client.proxied import ProxiedTransport

        return ProxiedTransport(origin)
    from reconciler.client.direct import DirectTransport

    return DirectTransport(origin)


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
        return _DECODER.decode(content.decode())
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


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
    import email.utils

    text = response.header("retry-after")
    try:
        return _held(float(text))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(text)
        sent = email.utils.parsedate_to_datetime(response.header("date"))
        return _held((moment - sent).total_seconds())
    except (ValueError, TypeError, OverflowError):  # no date, or one without a time zone
        return None


def _held(seconds: float) -> float:
    return min(_LONGEST_HOLD, max(0.0, seconds))
