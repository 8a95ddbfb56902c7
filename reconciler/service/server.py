"""Starts and stops the service: a socket, a thread with the event loop, signals.

The service always runs on a thread of its own, so that serving and embedding are one thing. The web
stack is imported on that thread and nowhere else. Never prints.
"""

from __future__ import annotations

import resource
import secrets
import signal
import socket
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.service.settings import Running, ServiceError, Settings, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOPBACK = "127.0.0.1"
_BACKLOG = 512
_MANY_FILES = 8192
_LAST_PORT = 65535
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(settings: Settings, *, on_listening: Callable[[Running], None]) -> None:
    """Serve until SIGINT or SIGTERM, then return; for the main thread only.

    ``on_listening`` is called once connections are accepted. Raises ServiceError.
    """
    _allow_many_files()
    with _caught_signals() as (wait_for_one, like_one), _running(settings, like_one) as running:
        on_listening(running)
        wait_for_one()


def _allow_many_files() -> None:
    """Raise this process's own limit of open files; every connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def embedded(settings: Settings) -> Iterator[Running]:
    """Serve on a free loopback port while the block runs; the settings' host and port don't matter.

    Jobs unfinished at the end go on when the data directory is served again. Raises ServiceError.
    """
    with _running(replace(settings, host=LOOPBACK, port=0), on_end=lambda: None) as running:
        yield running


@contextmanager
def _running(settings: Settings, on_end: Callable[[], object]) -> Iterator[Running]:
    settings = _trimmed(settings)
    key = settings.key or secrets.token_urlsafe(24)
    ready: Future[Any] = Future()
    with (
        closing(_listen(settings)) as listener,
        ThreadPoolExecutor(1, "reconciler-service") as pool,
    ):
        ended = pool.submit(_run, replace(settings, key=key), listener, ready)
        ended.add_done_callback(lambda _: on_end())
        wait([ready, ended], return_when=FIRST_COMPLETED)
        if not ready.done():
            ended.result()
        try:
            yield Running(_url(listener), key)
        finally:
            stop = ready.result()
            stop()
            ended.result()


def _trimmed(settings: Settings) -> Settings:
    """Return the settings without white space around keys: a header cannot carry it either."""
    given = (settings.key, settings.master_key, settings.model_key)
    key, master_key, model_key = ((each or "").strip() or None for each in given)
    return replace(settings, key=key, master_key=master_key, model_key=model_key)


def _run(settings: Settings, listener: socket.socket, ready: Future[Callable[[], None]]) -> None:
    import asyncio

    from reconciler.service.hosting import host

    asyncio.run(host(settings, listener, ready))


@contextmanager
def _caught_signals() -> Iterator[tuple[Callable[[], object], Callable[[], object]]]:
    """Yield what waits for a signal, and what ends the waiting as a signal would.

    Waits on a socket, for a thread that waits on a lock can sleep through a signal that comes just
    before.
    """
    caught, wake = socket.socketpair()
    wake.setblocking(False)
    before = {each: signal.signal(each, lambda *_: None) for each in _SIGNALS}
    woken = signal.set_wakeup_fd(wake.fileno())
    try:
        yield lambda: caught.recv(1), lambda: wake.send(b"\0")
    finally:
        signal.set_wakeup_fd(woken)
        for each, handler in before.items():
            signal.signal(each, handler)
        caught.close()
        wake.close()


def _listen(settings: Settings) -> socket.socket:
    """Return a listening socket; asyncio avoids delays only where the protocol is named."""
    family, address = _resolve(settings.host, settings.port)
    if not settings.key and not is_loopback(address[0]):
        raise ServiceError(
            f"Refusing to listen on {settings.host} without a key",
            hint="Set BREAD_API_KEY, or listen on 127.0.0.1.",
        )
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ServiceError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}",
            hint="Choose another port with --port, or stop what uses this one.",
        ) from error
    return listener


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return the address to bind, IPv4 if there is a choice."""
    if not 0 <= port <= _LAST_PORT:
        raise ServiceError(f"Cannot listen on port {port}", hint=f"Ports end at {_LAST_PORT}.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        hint = "Use an address of this machine, such as 127.0.0.1."
        raise ServiceError(f"Cannot listen on {host}: {error}", hint=hint) from error
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, (str(address[0]), port)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
