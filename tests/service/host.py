"""Runs services until they are told to stop.

    host.py DATA PACE

runs one, which says where it listens on the first line of stdout. Without arguments it runs as many
as it is asked for through the socket that is its stdin. Each is a process of its own, forked from
one that has loaded the code already, for that is what takes the time.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.service import Running, Settings, serve

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "key-of-the-tests"


def host(data: str, say: Callable[[str], object], **more: Any) -> None:
    """Serve a data directory, with further settings."""

    def announce(running: Running) -> None:
        say(json.dumps({"url": running.url}) + "\n")

    serve(Settings(Path(data), port=0, key=KEY, **more), on_listening=announce)


def host_each(requests: socket.socket) -> None:
    """Fork a service for every request, which is its settings and the socket it reports to."""
    load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    while True:
        request, handed, _, _ = socket.recv_fds(requests, 65536, 1)
        if not request:
            return
        with socket.socket(fileno=handed[0]) as reports:
            if os.fork() == 0:
                requests.close()
                host_one(reports, json.loads(request))
                return


def host_one(reports: socket.socket, settings: dict[str, Any]) -> None:
    """Say which process this is, and serve."""

    def say(text: str) -> None:
        reports.sendall(text.encode())

    say(json.dumps({"pid": os.getpid()}) + "\n")
    host(**settings, say=say)


def load() -> None:
    """Import what the service imports when it starts."""
    import reconciler.service.hosting
    import reconciler.service.work.endpoint.chat
    import reconciler.service.work.endpoint.model  # noqa: F401 (loading is all that is wanted)


def print_now(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        host(sys.argv[1], print_now, pace=float(sys.argv[2]))
    else:
        host_each(socket.socket(fileno=sys.stdin.fileno()))
