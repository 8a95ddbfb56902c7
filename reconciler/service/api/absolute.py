"""Requests for an absolute URI (``GET http://host/path``), as clients send them to a proxy.

A server has to take them as well (RFC 9112, 3.2.2). What they name is here, whatever the host.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_ORIGIN = re.compile(rb"https?://[^/]*", re.IGNORECASE)


def relative(app: ASGIApp) -> ASGIApp:
    """Return an application whose requests name a path; for the outermost one."""

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["raw_path"].startswith(b"/"):
            raw_path = _path(scope["raw_path"])
            scope = {**scope, "raw_path": raw_path, "path": unquote(raw_path.decode("ascii"))}
        await app(scope, receive, send)

    return outermost


def _path(target: bytes) -> bytes:
    origin = _ORIGIN.match(target)
    return target[origin.end() :] or b"/" if origin else target
