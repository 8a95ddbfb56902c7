"""Errors as the API words them: a sentence, a code and, for invalid input, where it is wrong.

Never decides that something is wrong; only how to say it.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CODES: Mapping[int, str] = {
    HTTPStatus.BAD_REQUEST: "INVALID_INPUT",
    HTTPStatus.UNAUTHORIZED: "UNAUTHORIZED",
    HTTPStatus.PAYMENT_REQUIRED: "PAYMENT_REQUIRED",
    HTTPStatus.FORBIDDEN: "FORBIDDEN",
    HTTPStatus.NOT_FOUND: "RESOURCE_NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED",
    HTTPStatus.REQUEST_TIMEOUT: "REQUEST_TIMEOUT",
    HTTPStatus.CONFLICT: "RESOURCE_CONFLICT",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "PAYLOAD_TOO_LARGE",
    HTTPStatus.UNPROCESSABLE_ENTITY: "VALIDATION_ERROR",
    HTTPStatus.TOO_MANY_REQUESTS: "RATE_LIMITED",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL_ERROR",
    HTTPStatus.BAD_GATEWAY: "BAD_GATEWAY",
    HTTPStatus.SERVICE_UNAVAILABLE: "SERVICE_UNAVAILABLE",
    HTTPStatus.GATEWAY_TIMEOUT: "GATEWAY_TIMEOUT",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request: where (``("body", "base_model")``), what, and its kind."""

    loc: tuple[str | int, ...]
    msg: str
    type: str

    def sentence(self) -> str:
        """Return the fault for a person, with its place in front unless it speaks for itself."""
        place = ".".join(str(part) for part in self.loc[1:])
        return f"{place}: {self.msg}" if place and self.type != "value_error" else self.msg


class ApiError(Exception):
    """A request cannot be fulfilled; carries everything its answer needs."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.faults = faults
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """Return the error body, with ``detail`` for a 422."""
        body = body_of(self.status, self.message)
        if self.status is HTTPStatus.UNPROCESSABLE_ENTITY:
            body["detail"] = [
                {"loc": list(fault.loc), "msg": fault.msg, "type": fault.type}
                for fault in self.faults
            ]
        return body


def body_of(status: int, message: str) -> dict[str, object]:
    """Return what every error body holds: both names of the sentence, and a code."""
    return {"error": message, "message": message, "code": CODES.get(status, f"HTTP_{status}")}


def bad_request(message: str) -> ApiError:
    """Return a 400: the request is understood and cannot be done as things stand."""
    return ApiError(HTTPStatus.BAD_REQUEST, message)


def not_found(message: str) -> ApiError:
    """Return a 404."""
    return ApiError(HTTPStatus.NOT_FOUND, message)


def conflict(message: str) -> ApiError:
    """Return a 409: the resource exists and differs."""
    return ApiError(HTTPStatus.CONFLICT, message)


def invalid(faults: Sequence[Fault]) -> ApiError:
    """Return a 422 that leads with the first fault and lists them all."""
    rest = len(faults) - 1
    more = f" (and {rest} more)" if rest else ""
    return ApiError(
        HTTPStatus.UNPROCESSABLE_ENTITY, faults[0].sentence() + more, faults=tuple(faults)
    )
