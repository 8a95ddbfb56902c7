"""Request bodies: read within a limit and parsed strictly.

What a client sends becomes plain JSON values here, or an ApiError. Never judges what they mean.
"""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from reconciler.service.problems import ApiError, Fault, bad_request, invalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from starlette.types import Receive

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 100
_SILENCE_SECONDS = 0.5


async def read(chunks: AsyncIterator[bytes], declared: int = 0) -> bytes:
    """Return the whole body, or nothing of one that is too large; raises a 413 above MAX_BYTES.

    ``declared`` is how long its sender says it is, which is enough to refuse it.
    """
    if declared > MAX_BYTES:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_BYTES:
            raise _too_large()
        parts.append(chunk)
    return b"".join(parts)


async def drain(receive: Receive) -> None:
    """Read on what nobody wants, up to twice MAX_BYTES, until nothing comes for a moment.

    A connection that is closed over unread data can take an answer with it.
    """
    left = 2 * MAX_BYTES
    with suppress(TimeoutError):
        while left > 0:
            async with asyncio.timeout(_SILENCE_SECONDS):
                message = await receive()
            if not message.get("more_body"):
                return
            left -= len(message["body"])


def _too_large() -> ApiError:
    message = f"The body is larger than {MAX_BYTES // 1024 // 1024} MB"
    headers = {"Connection": "close"}
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, headers=headers)


def parse(raw: bytes) -> object:
    """Return the JSON value of a body; raises a 400 when it is not JSON, a 422 when it is empty.

    JSON between machines is UTF-8 (RFC 8259); a byte order mark is ignored.
    """
    if not raw.strip():
        raise invalid([Fault(("body",), "Field required", "missing")])
    try:
        text = raw.decode("utf-8-sig")
        value: object = json.loads(text, parse_constant=_refuse_number, parse_float=_finite)
        if "\\u" in text:
            _refuse_surrogates(value)
    except RecursionError:
        raise bad_request("The body is nested too deeply") from None
    except UnicodeError:
        raise bad_request("The body holds text that is not valid Unicode") from None
    except ValueError as error:
        raise bad_request(f"The body is not valid JSON: {error}") from None
    if _deeper_than(MAX_DEPTH, value):
        raise bad_request("The body is nested too deeply")
    return value


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse_number(text)
    return number


def _refuse_surrogates(value: object) -> None:
    json.dumps(value, ensure_ascii=False).encode()


def _deeper_than(limit: int, value: object) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _containers(parent)]
        if not level:
            return False
    return True


def _containers(value: object) -> Iterable[object]:
    if not isinstance(value, dict | list):
        return ()
    children = value.values() if isinstance(value, dict) else value
    return [child for child in children if isinstance(child, dict | list)]
