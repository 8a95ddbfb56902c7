"""What a caller hands to the service and gets back from it. Plain data; does nothing by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run the service.

    ``key`` is the API key of ordinary callers (None or empty: one is made up); ``master_key`` alone
    may act for another user. ``datasets`` holds the ``NAME.jsonl`` files of ``from_dataset``.
    ``pace`` is the time in seconds that every row of output takes to make: stimuli are made one
    after the other, trajectories up to the target's ``max_concurrency`` at a time.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    key: str | None = field(default=None, repr=False)
    master_key: str | None = field(default=None, repr=False)
    datasets: Path | None = None
    pace: float = 0.0


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
