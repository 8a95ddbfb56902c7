"""One message to a webhook, tried a few times, over a connection that knows nothing of the API.

The address is a secret, for whoever knows it can write there: it is sent to nobody but its host,
and told to nobody. A message that cannot be delivered is told in a sentence, never raised.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from reconciler import __version__
from reconciler.client import is_loopback
from reconciler.client.http import carrier
from reconciler.client.transport import LostError, Origin
from reconciler.client.urls import split
from reconciler.core.errors import ReconcilerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from reconciler.client.transport import Answer, Transport

#: Seconds to wait between attempts.
_PAUSES = (1.0, 3.0)
_TIMEOUT = 5.0
#: Nor may all attempts together hold a round up for longer.
_PATIENCE = 10.0
_REDACTED = "[removed]"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where messages go; never shown whole."""

    origin: str
    path: str = field(repr=False)
    host: str = ""


def checked(url: str) -> Webhook:
    """Return the address to notify; raises UsageError, without repeating it, for an unfit one."""
    parts = split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError("the address to notify is no URL", hint="Write it like https://host/path.")
    if parts.username or parts.password or parts.fragment:
        raise UsageError("the address to notify may hold no user, password or fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(
            "the address to notify is plain http: what is told would travel in the clear",
            hint="Use https; http is for this machine alone.",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Webhook(f"{parts.scheme}://{parts.netloc}", path, parts.hostname)


def deliver(
    hook: Webhook,
    message: Mapping[str, Any],
    *,
    secrets: tuple[str, ...] = (),
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> str:
    """Send a message; return nothing, or why that failed in words fit for a log.

    No ``secrets`` leave with it, even if somebody wrote them into what the message quotes.
    """
    body = json.dumps(message)
    for secret in filter(None, secrets):
        body = body.replace(json.dumps(secret)[1:-1], _REDACTED)
    try:
        return asyncio.run(_delivered(hook, body.encode(), sleep))
    except ReconcilerError as error:  # what the environment says of proxies or certificates
        return f"{error.message}. {error.hint}".strip()


async def _delivered(
    hook: Webhook, body: bytes, sleep: Callable[[float], Awaitable[object]]
) -> str:
    headers = {"User-Agent": f"reconciler/{__version__}", "Accept": "*/*"}
    transport = carrier(Origin(hook.origin, headers, _TIMEOUT))
    try:
        async with asyncio.timeout(_PATIENCE):
            return await _persistent(transport, hook, body, sleep)
    except TimeoutError:
        return f"{hook.host}: no answer in time"
    finally:
        await transport.aclose()


async def _persistent(
    transport: Transport, hook: Webhook, body: bytes, sleep: Callable[[float], Awaitable[object]]
) -> str:
    trouble = await _tried(transport, hook, body)
    for pause in _PAUSES:
        if not trouble.is_passing:
            break
        await sleep(pause)
        trouble = await _tried(transport, hook, body)
    return trouble.why


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why a message was not delivered, if it was not, and whether trying again may help."""

    why: str = ""
    is_passing: bool = False


async def _tried(transport: Transport, hook: Webhook, body: bytes) -> _Trouble:
    try:
        answer = await transport.send("POST", hook.path, body)
    except LostError as error:
        return _Trouble(f"{hook.host}: {error}", is_passing=True)
    return _verdict(hook, answer)


def _verdict(hook: Webhook, answer: Answer) -> _Trouble:
    status = answer.status_code
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return _Trouble()
    passing = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
    return _Trouble(f"{hook.host} answers {status}", is_passing=passing)
