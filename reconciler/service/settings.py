"""What a caller hands to the service and gets back from it. Plain data; does nothing by itself."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run the service.

    ``key`` is the API key of ordinary callers (None or empty: one is made up); ``master_key`` alone
    may act for another user. ``datasets`` holds the files of ``from_dataset``.
    ``pace`` is the time in seconds that every row of output takes to make: stimuli are made one
    after the other, trajectories up to the target's ``max_concurrency`` at a time.

    ``model_url`` is the base of an OpenAI-compatible endpoint (``…/v1``) and ``model_key`` its key;
    without it the offline model answers. ``access_log`` takes one line of JSON for every call.
    ``rehearsal`` is a file that says what shall go wrong.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    key: str | None = field(default=None, repr=False)
    master_key: str | None = field(default=None, repr=False)
    datasets: Path | None = None
    pace: float = 0.0
    model_url: str | None = None
    model_key: str | None = field(default=None, repr=False)
    access_log: Callable[[str], object] | None = None
    rehearsal: Path | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """Where a running service listens, and the key it accepts."""

    url: str
    key: str = field(repr=False)


class ServiceError(Exception):
    """The service cannot run; ``message`` says why and ``hint`` what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def is_loopback(host: str) -> bool:
    """Say whether a host name or address means this machine and nothing else."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    return host.lower() == "localhost"
