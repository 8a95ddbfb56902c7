"""Calls an OpenAI-compatible endpoint, patiently where patience helps.

aiohttp stops here: the official client and httpx spend several times its processor time on every
call, and a job makes thousands of them at once. Sends the key to the endpoint and nowhere else,
follows no redirect, and never puts the key or what was sent into words.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from reconciler import __version__
from reconciler.service.settings import is_loopback
from reconciler.service.wire import dumps
from reconciler.service.work.endpoint.completion import Call, Completion, read, sentence
from reconciler.service.work.model import ClosedError, ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from reconciler.service.work.meter import Kind, Meter, Outcome

MOST_AT_ONCE = 500
"""Calls under way at once, of all jobs together: every one is a connection, and these are few."""

_CONNECT_SECONDS = 10.0
_PROBE_SECONDS = 2.0
_PROBE_FRESH_SECONDS = 5.0
_IDLE_SECONDS = 15.0
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
#: The last one is what Python has to say of a host with two dots in a row.
_UNREACHABLE = (aiohttp.ClientError, OSError, UnicodeError)
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
        self._stopped = asyncio.Event()
        self._probed: tuple[float, bool] | None = None
        self._probing = asyncio.Lock()
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._usual = _limit(self._patience.timeout)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={**_HEADERS, **({"Authorization": f"Bearer {key}"} if key else {})},
            proxy=_proxy(url),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def stop(self) -> None:
        """Let requests under way end, and nothing be asked after them."""
        self._stopped.set()

    async def complete(self, kind: Kind, call: Call) -> Completion:
        """Return a completion; raises ModelError when it is not to be had, ClosedError.

        Waits and asks again after 429, 5xx, timeouts and lost connections. After a 429 with
        ``Retry-After`` no call at all is made until then.
        """
        troubles: dict[Outcome, int] = {}
        while True:
            async with self._places:
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
                return answer.status // 100 in {2, 4} and answer.status not in {401, 403}
        except _UNREACHABLE:
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
            async with self._http.post(
                self._completions,
                data=dumps(call.body).encode(),
                headers=call.headers or None,
                params=call.query or None,
                timeout=limit,
                allow_redirects=False,
            ) as answer:
                return self._judge(answer, await answer.read())
        except aiohttp.ConnectionTimeoutError:
            return _Trouble("connection", f"took no connection within {limit.sock_connect:g} s")
        except TimeoutError:
            return _Trouble("timeout", f"gave no answer within {limit.total:g} s")
        except _UNREACHABLE as error:
            return _Trouble("connection", f"cannot be reached: {_reason(error)}")
        except ValueError:
            return _Trouble("refused", "cannot be sent what extra_kwargs adds to the call")

    def _judge(self, answer: aiohttp.ClientResponse, raw: bytes) -> Completion | _Trouble:
        if 200 <= answer.status < 300:
            return read(raw) or self._nonsense(raw)
        said = sentence(raw, self._key)
        text = f"answered {answer.status}" + (f": {said}" if said else "")
        if answer.status == 429 and "insufficient_quota" not in raw.decode(errors="replace"):
            return _Trouble("rate_limited", text, _retry_after(answer.headers.get("Retry-After")))
        if answer.status in {408, 425} or answer.status >= 500:
            wait = _retry_after(answer.headers.get("Retry-After"))
            return _Trouble("server_error", text, wait)
        return _Trouble("refused", f"{text}.{_hint(answer.status)}")

    def _nonsense(self, raw: bytes) -> _Trouble:
        said = sentence(raw, self._key)
        text = "answered with something that is no completion" + (f": {said}" if said else "")
        return _Trouble("server_error", text)

    async def _hold(self) -> None:
        while (left := self._held_until - time.monotonic()) > 0:
            await self._pause(left)

    async def _rest(self, trouble: _Trouble, times: int) -> None:
        if not trouble.wait:
            longest = min(self._patience.first * 2 ** (times - 1), self._patience.most)
            await self._pause(longest * random.uniform(0.75, 1.0))  # noqa: S311 (spreads load)
            return
        wait = min(trouble.wait, self._patience.longest)
        if trouble.outcome == "rate_limited":
            self._held_until = max(self._held_until, time.monotonic() + wait)
        else:
            await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        waiting = [
            asyncio.ensure_future(each) for each in (self._sleep(seconds), self._stopped.wait())
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        if self._stopped.is_set():
            raise ClosedError


def _under(url: str, path: str) -> URL:
    parts = urlsplit(url)
    return URL(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}", fragment="")))


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names; aiohttp itself would read ~/.netrc as well."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)


def _reason(error: Exception) -> str:
    """Return what an error says, without the address, whose query may hold a secret."""
    said = (getattr(error, name, None) for name in ("strerror", "message"))
    words = next((each for each in said if each), None) or str(error) or type(error).__name__
    return " ".join(str(words).split())


def _limit(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(seconds, sock_connect=min(seconds, _CONNECT_SECONDS))


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that ``Retry-After`` names, in either of its forms."""
    if value is None:
        return None
    if _SECONDS.fullmatch(value.strip()):
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
        case _ if 300 <= status < 400:
            return " Redirects are not followed: give the final address as --model-url."
    return ""
