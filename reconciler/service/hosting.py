"""Puts the parts together inside an event loop: store, model, runner, application, web server."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import uvicorn

from reconciler import __version__
from reconciler.service.api.absolute import relative
from reconciler.service.api.app import App
from reconciler.service.api.auth import Keys
from reconciler.service.api.connection import BACKLOG, Connection
from reconciler.service.rehearsal.jobs import Fates
from reconciler.service.rehearsal.requests import Rehearsed, abortable
from reconciler.service.state import datadir
from reconciler.service.state.store import Store
from reconciler.service.telemetry.access_log import Logged
from reconciler.service.telemetry.metrics import Measured, Metrics
from reconciler.service.work.fate import Undisturbed
from reconciler.service.work.offline import OfflineModel
from reconciler.service.work.production import Workshop
from reconciler.service.work.runner import Runner

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import Future

    from starlette.types import ASGIApp

    from reconciler.service.rehearsal.script import Script
    from reconciler.service.settings import Settings
    from reconciler.service.work.meter import Meter
    from reconciler.service.work.model import Model

_IDLE_SECONDS = 75
_GRACE_SECONDS = 1
_ANSWER_GRACE_SECONDS = 8.0
"""How long answers that cost money are waited for at the end; containers are killed after 10."""


async def host(
    settings: Settings, listener: socket.socket, ready: Future[Callable[[], None]]
) -> None:
    """Serve on a listening socket until told to stop.

    Sets ``ready`` to what stops it, callable from any thread; raises ServiceError before that.
    """
    script = _script(settings)
    datadir.prepare(settings.data)
    with closing(Store(settings.data)) as store:
        metrics = Metrics(__version__, store.job_counts)
        async with _model(settings, metrics) as model:
            shop = Workshop(
                store,
                model,
                settings.datasets,
                settings.pace,
                grace=_ANSWER_GRACE_SECONDS if settings.model_url else 0.0,
                meter=metrics,
                fates=Fates(script) if script else Undisturbed(),
            )
            runner = Runner(shop, datadir.runner_lock(settings.data))
            keys = Keys(settings.key or "", settings.master_key)
            app = App(store, keys, runner.wake, model.is_available)
            server = uvicorn.Server(_config(_surrounded(app, settings, metrics, script)))
            async with runner.running():
                ready.set_result(lambda: setattr(server, "should_exit", True))
                await server.serve(sockets=[listener])


def _script(settings: Settings) -> Script | None:
    if settings.rehearsal is None:
        return None
    from reconciler.service.rehearsal.reading import load

    return load(settings.rehearsal)


@asynccontextmanager
async def _model(settings: Settings, meter: Meter) -> AsyncIterator[Model]:
    if settings.model_url is None:
        yield OfflineModel()
        return
    from reconciler.service.work.endpoint.chat import Chat
    from reconciler.service.work.endpoint.model import EndpointModel

    chat = Chat(settings.model_url, settings.model_key, meter)
    try:
        yield EndpointModel(chat)
    finally:
        await chat.close()


def _surrounded(app: App, settings: Settings, metrics: Metrics, script: Script | None) -> ASGIApp:
    """Return the application with everything around it that was asked for.

    What a rehearsal does to a call is measured and logged like everything else.
    """
    outer: ASGIApp = Measured(Rehearsed(app, script) if script else app, metrics)
    if settings.access_log is not None:
        outer = Logged(outer, settings.access_log)
    return relative(abortable(outer) if script else outer)


def _config(app: ASGIApp) -> uvicorn.Config:
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    return uvicorn.Config(
        app,
        http=Connection,
        backlog=BACKLOG,
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
