"""Getting at an API: the hosted one with a key, or the embedded service without.

The key comes from the environment alone and goes to the client alone.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler.client import Api, Http, HttpSettings, checked_base_url, is_loopback
from reconciler.core.errors import ReconcilerError, UsageError
from reconciler.workflow.access import DEFAULT_URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from reconciler.core.model.desired import Desired
    from reconciler.engine.pacing import Pace
    from reconciler.workflow.access import Access
    from reconciler.workflow.place import Place

#: What stands for the embedded service in the lockfile: its port is another one every time.
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Connection:
    """An API that can be spoken to. ``name`` is how the lockfile calls it."""

    name: str
    settings: HttpSettings

    @property
    def pace(self) -> Pace:
        """How often jobs of this API may be looked at."""
        from reconciler.engine.pacing import HOSTED, LOOPBACK

        host = urlsplit(self.settings.base_url).hostname or ""
        return LOOPBACK if is_loopback(host) else HOSTED

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Api]:
        """Open a session with the API."""
        async with Http(self.settings, SystemClock()) as http:
            yield Api(http)


class SystemClock:
    """The clock on the wall, as far as intervals go."""

    def now(self) -> float:
        """Return seconds since some fixed moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


def api_name(access: Access, desired: Desired) -> str:
    """Return how the lockfile calls the API that would be used; raises UsageError."""
    if access.local:
        if access.api_url:
            raise UsageError("--local and --api-url exclude each other")
        return LOCAL
    declared = access.environment.get("BREAD_BASE_URL") or desired.api_url or DEFAULT_URL
    return checked_base_url(access.api_url or declared, allow_http=access.allow_http)


@contextmanager
def connect(place: Place, access: Access, desired: Desired) -> Iterator[Connection]:
    """Make an API available; raises UsageError, or ReconcilerError where there is no key."""
    name = api_name(access, desired)
    if not access.local:
        given = access.environment.get("BREAD_API_KEY")
        key = (given or "").strip()
        if not key:
            raise ReconcilerError(
                f"no API key: BREAD_API_KEY is {'empty' if given else 'not set'}",
                hint="Set it to your key, or try everything without one: --local.",
            )
        yield Connection(name, _told(HttpSettings(name, key, access.user_id), access))
        return
    with embedded_service(place) as settings:
        yield Connection(name, _told(settings, access))


def _told(settings: HttpSettings, access: Access) -> HttpSettings:
    return replace(settings, ended=access.ended, held=access.held)


@contextmanager
def embedded_service(place: Place) -> Iterator[HttpSettings]:
    """Run the local service for the time of a command; its data stays in the project."""
    from reconciler import service
    from reconciler.lockfile import state_directory

    data = state_directory(place.root) / "local"
    datasets = place.root / "datasets"
    settings = service.Settings(data=data, port=0, datasets=datasets if datasets.is_dir() else None)
    try:
        with service.embedded(settings) as running:
            yield HttpSettings(running.url, running.key)
    except service.ServiceError as error:
        raise ReconcilerError(error.message, hint=error.hint) from error
