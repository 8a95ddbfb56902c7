"""Watches one answer on its way out, for those who count or note it afterwards.

Never changes a message, and never holds one back.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Answer:
    """How far an answer came: its ``status`` once begun, ``size`` in bytes, ``whole`` at the end.

    An application that fails before it answers gets a 500 from the web server, so that is the
    status then. An answer that was never begun, because the client is gone, has none.
    """

    __slots__ = ("_bodiless", "_send", "size", "status", "whole")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.status: int | None = None
        self.size = 0
        self.whole = False
        self._bodiless = scope["method"] == "HEAD"
        self._send = send

    async def of(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        """Let the application answer."""
        try:
            await app(scope, receive, self._pass_on)
        except Exception:
            if self.status is None:
                self.status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
                self.whole = True
            raise

    async def _pass_on(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.size += 0 if self._bodiless else len(message.get("body", b""))
            self.whole = not message.get("more_body", False)
