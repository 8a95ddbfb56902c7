"""Puts the parts together inside an event loop: store, runner, application, web server."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import TYPE_CHECKING

import uvicorn

from reconciler.service.api.app import App
from reconciler.service.api.auth import Keys
from reconciler.service.state import datadir
from reconciler.service.state.store import Store
from reconciler.service.work.offline import OfflineModel
from reconciler.service.work.production import Workshop
from reconciler.service.work.runner import Runner

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from concurrent.futures import Future

    from reconciler.service.settings import Settings

_IDLE_SECONDS = 75
_GRACE_SECONDS = 1


async def host(
    settings: Settings, listener: socket.socket, ready: Future[Callable[[], None]]
) -> None:
    """Serve on a listening socket until told to stop.

    Sets ``ready`` to what stops it, callable from any thread; raises ServiceError before that.
    """
    datadir.prepare(settings.data)
    with closing(Store(settings.data)) as store:
        shop = Workshop(store, OfflineModel(), settings.datasets, settings.pace)
        runner = Runner(shop, datadir.runner_lock(settings.data))
        keys = Keys(settings.key or "", settings.master_key)
        server = uvicorn.Server(_config(App(store, keys, runner.wake)))
        async with runner.running():
            ready.set_result(lambda: setattr(server, "should_exit", True))
            await server.serve(sockets=[listener])


def _config(app: App) -> uvicorn.Config:
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
