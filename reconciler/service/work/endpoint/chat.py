"""Calls an OpenAI-compatible endpoint, patiently where patience helps.

aiohttp stops here: the official client and httpx spend several times its processor time on every
call, and a job makes thousands of them at once. Sends the key to the endpoint and nowhere else,
follows no redirect, and never puts the key or what was sent into words.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from yarl import URL

from reconciler import __version__
from reconciler.service.settings import is_loopback
from reconciler.service.wire import dumps
from reconciler.service.work.endpoint.completion import Call, Completion, read, sentence
from reconciler.service.work.model import ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from reconciler.service.work.meter import Kind, Meter, Outcome

MOST_AT_ONCE = 500
"""Calls under way at once, of all jobs together: every one is a connection, and these are few."""

_CONNECT_SECONDS = 10.0
_PROBE_SECONDS = 2.0
_PROBE_FRESH_SECONDS = 5.0
_IDLE_SECONDS = 15.0
_HEADERS = {"Content-Type": "application/json", "User-Agent": f"reconciler/{__version__}"}


@dataclass(frozen=True, slots=True)
class Patience:
    """When to give up on one completion, and how long to wait in between, in seconds.

    ``attempts`` by outcome; an outcome that is absent is final. ``Retry-After`` is obeyed up to
    ``longest``.
    """

    attempts: Mapping[Outcome, int] = field(
        default_factory=lambda: {
            "rate_limited": 30,
            "server_error": 7,
            "connection": 7,
            "timeout": 3,
        }
    )
    first: float = 0.5
    most: float = 30.0
    longest: float = 120.0
    timeout: float = 600.0


@dataclass(frozen=True, slots=True)
class _Trouble:
    """An attempt without a completion; ``wait`` is what the endpoint asked for."""

    outcome: Outcome
    sentence: str
    wait: float | None = None


class Chat:
    """The completions of one endpoint; ``url`` is its base, ``…/v1``."""

    def __init__(
        self,
        url: str,
        key: str | None,
        meter: Meter,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._name = urlunsplit(urlsplit(url)._replace(query="", fragment=""))
        self._completions, self._models = _under(url, "chat/completions"), _under(url, "models")
        self._key = key
        self._meter = meter
        self._patience = patience or Patience()
        self._sleep = sleep
        self._held_until = 0.0
        self._probed: tuple[float, bool] | None = None
        self._probing = asyncio.Lock()
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._usual = _limit(self._patience.timeout)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={**_HEADERS, **({"Authorization": f"Bearer {key}"} if key else {})},
            trust_env=not is_loopback(urlsplit(url).hostname or ""),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def complete(self, kind: Kind, call: Call) -> Completion:
        """Return a completion; raises ModelError when it is not to be had.

        Waits and asks again after 429, 5xx, timeouts and lost connections. After a 429 with
        ``Retry-After`` no call at all is made until then.
        """
        troubles: dict[Outcome, int] = {}
        while True:
            await self._hold()
            found = await self._try(kind, call)
            if isinstance(found, Completion):
                return found
            times = troubles[found.outcome] = troubles.get(found.outcome, 0) + 1
            if times >= self._patience.attempts.get(found.outcome, 1):
                tries = f" (after {sum(troubles.values())} attempts)" if times > 1 else ""
                raise ModelError(f"The model endpoint {self._name} {found.sentence}{tries}")
            await self._rest(found, times)

    async def is_available(self) -> bool:
        """Say whether the endpoint answers and takes the key; looks at most every few seconds."""
        async with self._probing:
            now = time.monotonic()
            if self._probed is None or now - self._probed[0] > _PROBE_FRESH_SECONDS:
                self._probed = (now, await self._probe())
            self._meter.model_up(self._probed[1])
            return self._probed[1]

    async def _probe(self) -> bool:
        limit = _limit(_PROBE_SECONDS)
        try:
            async with self._http.get(self._models, timeout=limit, allow_redirects=False) as answer:
                return answer.status < 500 and answer.status not in {401, 403}
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _try(self, kind: Kind, call: Call) -> Completion | _Trouble:
        began = time.monotonic()
        found = await self._ask(call)
        outcome: Outcome = "ok" if isinstance(found, Completion) else found.outcome
        self._meter.model_request(kind, outcome, time.monotonic() - began)
        self._meter.model_up(outcome != "connection")
        if isinstance(found, Completion):
            self._meter.model_tokens(found.prompt_tokens or 0, found.tokens or 0)
        return found

    async def _ask(self, call: Call) -> Completion | _Trouble:
        limit = self._usual if call.timeout is None else _limit(call.timeout)
        try:
            async with (
                self._places,
                self._http.post(
                    self._completions,
                    data=dumps(call.body).encode(),
                    headers=call.headers or None,
                    params=call.query or None,
                    timeout=limit,
                    allow_redirects=False,
                ) as answer,
            ):
                return self._judge(answer, await answer.read())
        except aiohttp.ConnectionTimeoutError:
            return _Trouble("connection", f"took no connection within {limit.sock_connect:g} s")
        except TimeoutError:
            return _Trouble("timeout", f"gave no answer within {limit.total:g} s")
        except (aiohttp.ClientError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return _Trouble("connection", f"cannot be reached: {reason}")
        except ValueError:
            return _Trouble("refused", "cannot be sent what extra_kwargs adds to the call")

    def _judge(self, answer: aiohttp.ClientResponse, raw: bytes) -> Completion | _Trouble:
        if 200 <= answer.status < 300:
            nonsense = _Trouble("server_error", "answered with something that is no completion")
            return read(raw) or nonsense
        said = sentence(raw)
        if self._key:
            said = said.replace(self._key, "…")
        text = f"answered {answer.status}" + (f": {said}" if said else "")
        if answer.status == 429 and "insufficient_quota" not in raw.decode(errors="replace"):
            return _Trouble("rate_limited", text, _retry_after(answer.headers.get("Retry-After")))
        if answer.status in {408, 425} or answer.status >= 500:
            wait = _retry_after(answer.headers.get("Retry-After"))
            return _Trouble("server_error", text, wait)
        return _Trouble("refused", f"{text}.{_hint(answer.status)}")

    async def _hold(self) -> None:
        while (left := self._held_until - time.monotonic()) > 0:
            await self._sleep(left)

    async def _rest(self, trouble: _Trouble, times: int) -> None:
        if trouble.wait is None:
            longest = min(self._patience.first * 2 ** (times - 1), self._patience.most)
            await self._sleep(longest * random.uniform(0.75, 1.0))  # noqa: S311 (spreads load)
            return
        wait = min(trouble.wait, self._patience.longest)
        if trouble.outcome == "rate_limited":
            self._held_until = max(self._held_until, time.monotonic() + wait)
        else:
            await self._sleep(wait)


def _under(url: str, path: str) -> URL:
    parts = urlsplit(url)
    return URL(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}", fragment="")))


def _limit(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(seconds, sock_connect=min(seconds, _CONNECT_SECONDS))


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that ``Retry-After`` names, in either of its forms."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _hint(status: int) -> str:
    match status:
        case 401 | 403:
            return " Its key is read from OPENAI_API_KEY."
        case 404:
            return " Is --model-url right (it usually ends in /v1), and does it know the model?"
        case 301 | 302 | 307 | 308:
            return " Redirects are not followed: give the final address as --model-url."
    return ""
