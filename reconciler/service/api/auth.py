"""Who is calling: API keys and the user a call acts for.

Keys are compared in constant time and never stored, logged or echoed.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from http import HTTPStatus

from reconciler.service.problems import ApiError, bad_request

DEFAULT_USER = ""
"""The namespace of both keys when no other user is named."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys this service accepts."""

    key: str = field(repr=False)
    master_key: str | None = field(default=None, repr=False)


def user_of(keys: Keys, authorization: str, header_user: str, query_user: str) -> str:
    """Return the user whose resources a call means, from ``Authorization`` and its overrides.

    Raises a 401 without a known key, a 403 when an ordinary key acts for another user, a 400 when
    the header and the query name different users.
    """
    is_master = _is_master(keys, authorization)
    if header_user and query_user and header_user != query_user:
        raise bad_request("X-User-Id and user_id name different users")
    other = header_user or query_user
    if other and not is_master:
        raise ApiError(HTTPStatus.FORBIDDEN, "Acting for another user needs the master key")
    return other or DEFAULT_USER


def _is_master(keys: Keys, authorization: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise _unauthorized("Missing API key: send it as 'Authorization: Bearer <key>'")
    if keys.master_key and _same(given, keys.master_key):
        return True
    if _same(given, keys.key):
        return False
    raise _unauthorized("Invalid API key")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.strip().encode("latin-1", "replace"), expected.encode())


def _unauthorized(message: str) -> ApiError:
    return ApiError(HTTPStatus.UNAUTHORIZED, message, headers={"WWW-Authenticate": "Bearer"})
