"""What the command line and the environment say about the API; says nothing to any API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_URL = "https://bapi.bread.com.ai"


@dataclass(frozen=True, slots=True)
class Access:
    """What the command line and the environment say about the API.

    ``ended`` is told of every request what came of it, and ``held`` of every long hold, in seconds,
    as those of ``HttpSettings`` are.
    """

    local: bool = False
    api_url: str | None = None
    user_id: str | None = None
    allow_http: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    ended: Callable[[str], object] = field(default=lambda _: None, repr=False, compare=False)
    held: Callable[[float], object] = field(default=lambda _: None, repr=False, compare=False)
