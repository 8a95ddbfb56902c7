"""What carries requests: the port between a session and its connections, and how they fail.

Whoever carries a request neither repeats it nor follows a redirect, and keeps no cookies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_REDIRECT, _CLIENT_ERROR = 300, 400
#: The most bytes that an answer may have, unpacked.
LARGEST_ANSWER = 64_000_000
#: How much longer the whole of an answer may take than any part of it.
PATIENCE_FOR_ALL = 4


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the API is and how to speak to it. The headers, and so the key, are never shown."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    #: Seconds that a connection, or any part of an answer, may take.
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read to its end; the headers are as they came."""

    status_code: int
    reason_phrase: str
    headers: Sequence[tuple[bytes, bytes]]
    content: bytes

    def header(self, name: str) -> str:
        """Return the value of a header, or of all with that name, listed; empty without one."""
        return header(self.headers, name.encode())

    @property
    def is_redirect(self) -> bool:
        """Tell whether the API points elsewhere."""
        return _REDIRECT <= self.status_code < _CLIENT_ERROR


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """Return the value of a header, or of all with that name, listed; empty without one.

    ``name`` is in lower case.
    """
    return ", ".join(value.decode("latin-1") for key, value in headers if key.lower() == name)


class LostError(Exception):
    """No whole answer came, so that nobody knows what became of the request."""


class NotSentError(LostError):
    """There was no connection, so that the request had no effect."""


class TooLargeError(LostError):
    """The answer is larger than any answer may be; asking again would not make it smaller."""

    def __init__(self) -> None:
        super().__init__(f"the answer is larger than {LARGEST_ANSWER // 1_000_000} MB")


class Transport(Protocol):
    """Carries one request at a time over each of its connections."""

    async def send(self, method: str, path: str, body: bytes | None) -> Answer:
        """Send a request and read its answer; raises LostError.

        ``path`` is absolute, below the base URL, percent-encoded, with its query if there is one;
        ``body`` is JSON.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
