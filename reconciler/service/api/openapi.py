"""The OpenAPI 3.1 document, made from the table of routes and the definitions of the schema.

Says nothing that is not in one of the two, but for what every call has in common. Pure.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from reconciler.service import schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.service.api.calls import Bounds
    from reconciler.service.api.operation import Operation

    Table = Mapping[str, Mapping[str, Operation]]
    Json = dict[str, Any]

_ABOUT = (
    "Repositories, prompts and targets, and the two stages of a target: stim makes questions,"
    " rollout answers them. HEAD is answered wherever GET is. Query parameters and headers that"
    " a call does not know are ignored."
)
_REFUSALS = {
    400: "The body is not JSON, the call contradicts itself, or it cannot be done as things stand.",
    401: "The key is missing or wrong.",
    402: "Prepaid credits ran out. Sent by the hosted API and in rehearsals.",
    403: "Acting for another user needs the master key.",
    404: "There is no such thing.",
    409: "It exists and differs from what is wanted.",
    413: "The body is too large.",
    422: "Parameters or body are invalid, or a name cannot be used.",
    429: "Too many requests. Sent by the hosted API and in rehearsals.",
    500: "The service failed; its log says why.",
    503: "The service cannot answer for now. Sent by the hosted API and in rehearsals.",
}
_HEADERS = {
    401: ("WWW-Authenticate", True),
    429: ("Retry-After", False),
    503: ("Retry-After", False),
}
_USER = "Act for this user; needs the master key. Header and query may not name different users."
_EXAMPLES = {"repo": "coding", "prompt": "expert", "target": "coding_target"}
_COMMON = ("XUserId", "user_id")


def document(table: Table) -> Json:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stim & rollout", "version": "v1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": {path: _path(path, methods) for path, methods in table.items()},
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "parameters": _common_parameters(),
            "responses": {str(status): _refusal(status) for status in _REFUSALS},
            "schemas": _schemas(),
        },
    }


def _path(path: str, methods: Mapping[str, Operation]) -> Json:
    names = [_name_parameter(name) for name in re.findall(r"{(\w+)}", path)]
    calls = {method.lower(): _operation(path, each) for method, each in methods.items()}
    return {**({"parameters": names} if names else {}), **calls}


def _operation(path: str, operation: Operation) -> Json:
    parameters = list(_parameters(operation))
    answers = {str(status): _answer(status, name) for status, name in operation.answers.items()}
    refusals = {str(status): _ref("responses", status) for status in _refusals(path, operation)}
    return {
        "operationId": operation.id,
        "summary": operation.summary,
        **({"deprecated": True} if operation.deprecated else {}),
        **({"security": []} if operation.open else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _body(operation.body)} if operation.body else {}),
        "responses": {**answers, **refusals},
    }


def _refusals(path: str, operation: Operation) -> list[int]:
    """Return the statuses of errors that a call can have."""
    if operation.open:
        return [500]
    found = {400, 401, 403, 422, 429, 500, 503, *operation.refusals}
    if "{" in path:
        found.add(404)
    if operation.body:
        found.add(413)
    return sorted(found)


def _parameters(operation: Operation) -> Iterator[Json]:
    for name, meaning in operation.flags.items():
        yield _query(name, meaning, {"type": "boolean", "default": False})
    for name, bounds in operation.numbers.items():
        yield _query(name, bounds.meaning, _whole_number(bounds))
    if not operation.open:
        yield from (_ref("parameters", name) for name in _COMMON)


def _whole_number(bounds: Bounds) -> Json:
    most = {"maximum": bounds.most} if bounds.most is not None else {}
    default = {"default": bounds.default} if bounds.default >= bounds.least else {}
    return {"type": "integer", "minimum": bounds.least, **most, **default}


def _query(name: str, meaning: str, values: Json) -> Json:
    return {"name": name, "in": "query", "description": meaning, "schema": values}


def _name_parameter(name: str) -> Json:
    kind = {"schema": _ref("schemas", "Name"), "example": _EXAMPLES[name]}
    return {"name": name, "in": "path", "required": True, **kind}


def _common_parameters() -> Json:
    text = {"type": "string"}
    header = {"name": "X-User-Id", "in": "header", "description": _USER, "schema": text}
    return dict(zip(_COMMON, (header, _query("user_id", _USER, text)), strict=True))


def _body(definition: str) -> Json:
    return {"required": True, "content": _content(definition)}


def _answer(status: int, definition: str) -> Json:
    meaning = "It was created." if status == HTTPStatus.CREATED else "It is done."
    return {"description": meaning, "content": _content(definition)}


def _refusal(status: int) -> Json:
    invalid = status == HTTPStatus.UNPROCESSABLE_ENTITY
    refusal = {
        "description": _REFUSALS[status],
        "content": _content("ValidationError" if invalid else "Error"),
    }
    if status in _HEADERS:
        name, always = _HEADERS[status]
        refusal["headers"] = {name: {"required": always, "schema": {"type": "string"}}}
    return refusal


def _content(definition: str) -> Json:
    return {"application/json": {"schema": _ref("schemas", definition)}}


def _ref(kind: str, name: object) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _schemas() -> Json:
    text = json.dumps(schema.definitions()).replace('"#/$defs/', '"#/components/schemas/')
    schemas: Json = json.loads(text)
    return schemas
