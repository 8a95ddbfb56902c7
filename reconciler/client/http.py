"""One HTTP session: authentication, retries, the rate limit that all tasks share, errors.

What may be repeated is: connections that failed, and 429 (the request was refused). 5xx answers and
lost ones are repeated only where the caller says that doing it twice is the same as once.
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from reconciler import __version__
from reconciler.client.json_text import parsed, written
from reconciler.client.transport import LostError, NotSentError, Origin, TooLargeError
from reconciler.client.urls import is_loopback
from reconciler.core import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from reconciler.client.transport import Answer, Transport
    from reconciler.core.clock import Clock

_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_FORBIDDEN, _NOT_FOUND, _TIMEOUT, _TOO_MANY_REQUESTS = 403, 404, 408, 429
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
    403: "Check BREAD_API_KEY: this key may not do that.",
}
_HINT_FOR_ANOTHER = "Acting for another user needs the master key."
#: Shorter keys are for trying things out, and part of many a word.
_SHORTEST_KEY = 8
#: No header may hold a run up for longer, in seconds.
_LONGEST_HOLD = 600.0
#: Who is out of order for longer than that, in seconds, is not waited for.
_LONGEST_OUTAGE = 60.0
#: A hold from so many seconds on is told, for people would wonder.
_WORTH_TELLING = 10.0
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
    #: Told once of every long hold that the API asks for, in seconds.
    held: Callable[[float], object] = field(default=lambda _: None, repr=False, compare=False)


@dataclass(slots=True)
class _Tries:
    """How often one request was made in vain, and whether it is made again."""

    policy: RetryPolicy
    repeatable: bool
    failed: int = 0
    limited: int = 0

    def go_on_after_loss(self, error: LostError) -> bool:
        """Count a request without an answer, which may have had its effect."""
        self.failed += 1
        is_safe = self.repeatable or isinstance(error, NotSentError)
        may_differ = not isinstance(error, TooLargeError)
        return is_safe and may_differ and self.failed < self.policy.attempts

    def go_on_after(self, status: int) -> bool:
        """Count an answer that is worth another request, if it is."""
        if status == _TOO_MANY_REQUESTS:
            self.limited += 1
            return self.limited < self.policy.attempts_when_limited
        # 408 is for a connection that rested too long: a request may cross it on the way.
        if (status < _SERVER_ERROR and status != _TIMEOUT) or not self.repeatable:
            return False
        self.failed += 1
        return self.failed < self.policy.attempts


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
        self._told_until = 0.0
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
        """Send a request and return the JSON object it is answered with; raises ApiError.

        A change may be answered without a body, as some gateways do, which is an empty object.
        """
        response = await self._send(method, path, body, params, repeatable=repeatable)
        if response.status_code >= _CLIENT_ERROR:
            raise _refusal(response, method, path, self.settings)
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
        content = None if body is None else written(body)
        query = f"{path}?{urlencode(params)}" if params else path
        tries = _Tries(self.settings.retry, repeatable)
        while True:
            try:
                answer = await self._exchange(method, query, content)
            except LostError as error:
                if not tries.go_on_after_loss(error):
                    raise errors.UnreachableError(
                        f"{method} {path}: {error}",
                        hint=f"Is {self.settings.base_url} the right address, and is it up?",
                    ) from error
            else:
                if not tries.go_on_after(answer.status_code):
                    return answer
                if self._obeys(answer, tries):
                    continue
            await self._pause(tries.failed)

    async def _exchange(self, method: str, path: str, content: bytes | None) -> Answer:
        """Send a request once, when its turn has come, and tell what came of it."""
        try:
            async with self._gate:
                if self._resume_at:
                    await self._wait_for_permission()
                self.requests += 1
                answer = await self._transport.send(method, path, content)
        except LostError:
            self.settings.ended("lost")
            raise
        self.settings.ended(_outcome(answer.status_code))
        return answer

    async def _pause(self, attempt: int) -> None:
        await self._clock.sleep(self.settings.retry.delay(attempt, self._draw.random()))

    def _obeys(self, answer: Answer, tries: _Tries) -> bool:
        """Hold up all requests if an answer asks for patience; return whether that is enough."""
        wait, is_limited = _retry_after(answer), answer.status_code == _TOO_MANY_REQUESTS
        if wait is None and is_limited:
            wait = self.settings.retry.delay(tries.limited, self._draw.random())
        if wait is not None and (is_limited or wait <= _LONGEST_OUTAGE):
            self._hold_everything(wait)
        return is_limited

    def _hold_everything(self, wait: float) -> None:
        """Slow the whole client down, not just the task that met a refusal."""
        now = self._clock.now()
        self._resume_at = max(self._resume_at, now + wait)
        if wait >= _WORTH_TELLING and now >= self._told_until:
            self._told_until = self._resume_at
            self.settings.held(wait)

    async def _wait_for_permission(self) -> None:
        while (wait := self._resume_at - self._clock.now()) > 0:
            await self._clock.sleep(wait)


def _origin(settings: HttpSettings) -> Origin:
    key, user = settings.key.strip(), settings.user_id or ""
    if not _fits_a_header(key):
        # The library that sends headers quotes what it refuses: the key must not get that far.
        raise errors.ReconcilerError(
            "the API key holds characters that no key has", hint="Check BREAD_API_KEY."
        )
    if not _fits_a_header(user):
        raise errors.UsageError(
            f"{user!a} cannot be sent as the user to act for",
            hint="--user-id takes ASCII characters on one line.",
        )
    headers = {
        "Authorization": f"Bearer {key}",
        "User-Agent": f"reconciler/{__version__}",
        "Accept": "application/json",
    }
    acting_for = {"X-User-Id": user} if user else {}
    return Origin(settings.base_url, headers | acting_for, settings.timeout)


def _fits_a_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


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
    if method != "GET" and not response.content.strip():
        return {}
    value = parsed(response.content)
    if not isinstance(value, dict):
        raise errors.UnreachableError(f"{method} {path}: the answer is no JSON object")
    return value


def _hint(status: int, settings: HttpSettings) -> str:
    """Return what a person may do about a refusal, as far as that is known."""
    if status == _FORBIDDEN and settings.user_id:
        return _HINT_FOR_ANOTHER
    return _HINTS.get(status, "")


def _refusal(response: Answer, method: str, path: str, settings: HttpSettings) -> errors.ApiError:
    status = response.status_code
    kind, is_passing = _BY_STATUS.get(status, errors.ApiError), {_TIMEOUT, _TOO_MANY_REQUESTS}
    is_json = _speaks_json(response)
    if status >= _SERVER_ERROR or status in is_passing or not is_json:
        # A 404 of a proxy is not the API's word that something is absent.
        trusted = {401, 402, 403}
        kind = kind if status in trusted else errors.UnreachableError
    sentence = _sentence(response, settings.key.strip(), is_json=is_json)
    return kind(f"{method} {path}: {status}: {sentence}", hint=_hint(status, settings))


def _sentence(response: Answer, key: str, *, is_json: bool) -> str:
    """Return what an answer says of itself, without the key, which some pages repeat."""
    from reconciler.client.sentences import sentence_of  # hardly ever needed

    content = response.content
    if len(key) >= _SHORTEST_KEY:
        content = content.replace(key.encode(), b"***")
    sentence, status = sentence_of(content), response.status_code
    if not is_json:  # pages begin with what is told already
        sentence = sentence.removeprefix(f"{status}: ").removeprefix(f"{status} ")
    return sentence or response.reason_phrase or "no reason given"


def _speaks_json(response: Answer) -> bool:
    return isinstance(parsed(response.content), dict)


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
