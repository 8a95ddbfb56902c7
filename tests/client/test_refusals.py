"""What the API refuses: the right error with the API's own sentence, whatever shape it comes in."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core import errors
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import Absent

from .support import HANG_UP, KEY, answer, asynchronous, ok, serving, speaking

PAGE = b"<html><body><h1>Bad gateway</h1></body></html>"
SHAPES: dict[str, tuple[Any, str]] = {
    "prose": ({"error": "Target is odd"}, "Target is odd"),
    "openapi": ({"message": "Target is odd", "code": "INVALID_INPUT"}, "Target is odd"),
    "both": ({"error": "Target is odd", "message": "Target is odd", "code": "X"}, "Target is odd"),
    "validation": (
        {"detail": [{"loc": ["body", "numq"], "msg": "must be positive", "type": "value_error"}]},
        "body.numq: must be positive",
    ),
    "several": (
        {"detail": [{"loc": ["body", 0], "msg": "one"}, {"loc": ["query", "b"], "msg": "two"}]},
        "body.0: one; query.b: two",
    ),
    "no place": ({"detail": [{"msg": "one"}]}, "one"),
    "detail text": ({"detail": "Not for you"}, "Not for you"),
    "nested": ({"error": {"message": "Deep down", "type": "x"}}, "Deep down"),
    "empty error": ({"error": "", "message": "The other one"}, "The other one"),
    "null error": ({"error": None, "detail": "Then this"}, "Then this"),
    "no sentence": ({"code": 7}, "Bad Request"),
    "odd detail": ({"detail": [7, None, {"loc": None, "msg": "fine"}]}, "fine"),
}


@pytest.mark.parametrize(("body", "sentence"), SHAPES.values(), ids=SHAPES)
@asynchronous
async def test_the_sentence_is_found_in_every_shape(body: Any, sentence: str) -> None:
    async with speaking(answer(400, body)) as (api, _):
        with pytest.raises(errors.ApiError) as caught:
            await api.create_repo("r", None)
    assert sentence in caught.value.message
    assert "400" in caught.value.message
    assert "POST /v1/repo" in caught.value.message


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, errors.ApiError, 1),
        (401, errors.AuthenticationError, 1),
        (402, errors.PaymentRequiredError, 3),
        (403, errors.AuthenticationError, 1),
        (404, errors.NotFoundError, 1),
        (409, errors.ConflictError, 1),
        (418, errors.ApiError, 1),
        (422, errors.ApiError, 1),
    ],
)
@asynchronous
async def test_every_status_becomes_its_error(
    status: int, kind: type[errors.ApiError], code: int
) -> None:
    async with speaking(answer(status, {"error": "So it is"})) as (api, server):
        with pytest.raises(errors.ApiError) as caught:
            await api.run("r", "t", Stage.STIM)
    assert type(caught.value) is kind
    assert caught.value.exit_code == code
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 402, 403])
@asynchronous
async def test_what_a_person_has_to_mend_comes_with_a_hint(status: int) -> None:
    async with speaking(answer(status, {"error": "No"})) as (api, _):
        with pytest.raises(errors.ApiError) as caught:
            await api.repo("r")
    assert caught.value.hint


@pytest.mark.parametrize("user", [None, "somebody"])
@asynchronous
async def test_the_master_key_is_spoken_of_where_somebody_acts_for_another(
    user: str | None,
) -> None:
    async with speaking(answer(403, {"error": "No"}), user_id=user) as (api, _):
        with pytest.raises(errors.AuthenticationError) as caught:
            await api.repo("r")
    assert ("master key" in caught.value.hint) == (user is not None)
    assert ("BREAD_API_KEY" in caught.value.hint) == (user is None)


@asynchronous
async def test_the_word_of_the_api_that_something_is_absent_is_believed() -> None:
    async with speaking(answer(404, {"error": "Repository not found"})) as (api, _):
        assert await api.repo("r") == Absent()
        assert await api.prompt("r", "p") == Absent()
        assert await api.target("r", "t") == Absent()


@pytest.mark.parametrize("body", [PAGE, b"", b"404 page not found", b"[]", b'"no"', b"null"])
@asynchronous
async def test_the_404_of_a_proxy_is_not_taken_for_absence(body: bytes) -> None:
    async with speaking(answer(404, body)) as (api, _):
        for look in (
            lambda: api.repo("r"),
            lambda: api.prompt("r", "p"),
            lambda: api.target("r", "t"),
        ):
            with pytest.raises(errors.UnreachableError, match="404"):
                await look()


@asynchronous
async def test_deleting_what_is_gone_already_is_fine() -> None:
    async with speaking(answer(404, {"error": "Target not found"})) as (api, server):
        await api.delete_target("r", "t")
    assert [request.method for request in server.requests] == ["DELETE"]


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("body", [PAGE, b"", b"{"])
@asynchronous
async def test_a_refusal_without_a_sentence_still_counts(status: int, body: bytes) -> None:
    wanted = {402: errors.PaymentRequiredError}.get(status, errors.AuthenticationError)
    async with speaking(answer(status, body)) as (api, _):
        with pytest.raises(wanted, match=str(status)):
            await api.repo("r")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("body", [PAGE, b"", b'{"error": "Database is away"}'])
@asynchronous
async def test_a_fault_of_the_server_is_unreadable_and_never_shown_as_html(
    status: int, body: bytes
) -> None:
    async with speaking(answer(status, body)) as (api, _):
        with pytest.raises(errors.UnreachableError, match=str(status)) as caught:
            await api.target("r", "t")
    assert "<" not in caught.value.message


@asynchronous
async def test_a_long_sentence_is_cut() -> None:
    async with speaking(answer(400, {"error": "x" * 100_000})) as (api, _):
        with pytest.raises(errors.ApiError) as caught:
            await api.create_repo("r", None)
    assert len(caught.value.message) < 1000


DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
NONSENSE: dict[str, bytes] = {
    "empty": b"",
    "html": PAGE,
    "cut": b'{"base_model": "m',
    "list": b"[1, 2]",
    "string": b'"hello"',
    "null": b"null",
    "not utf-8": b'{"a": "\xff\xfe"}',
    "bottomless": DEEP,
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
@asynchronous
async def test_an_answer_without_meaning_is_unreadable(body: bytes) -> None:
    async with speaking(answer(200, body)) as (api, _):
        for look in (api.stage, api.run):
            with pytest.raises(errors.UnreachableError):
                await look("r", "t", Stage.STIM)


@asynchronous
async def test_an_answer_that_breaks_off_is_unreadable() -> None:
    async with speaking(answer(200, {"base_model": "m" * 100}, cut=20)) as (api, server):
        with pytest.raises(errors.UnreachableError):
            await api.repo("r")
    assert len(server.requests) > 1


@asynchronous
async def test_damaged_compression_is_unreadable() -> None:
    broken = answer(200, b"this is no gzip", {"Content-Encoding": "gzip"})
    async with speaking(broken) as (api, _):
        with pytest.raises(errors.UnreachableError):
            await api.repo("r")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@asynchronous
async def test_a_redirect_is_refused_and_the_key_does_not_travel(status: int) -> None:
    async with serving(ok(base_model="m")) as elsewhere:
        moved = answer(status, b"", {"Location": f"{elsewhere.url}/v1/repo/r"})
        async with speaking(moved) as (api, server):
            with pytest.raises(errors.UnreachableError) as caught:
                await api.repo("r")
            assert len(server.requests) == 1
        assert not elsewhere.requests
    assert "--api-url" in caught.value.hint
    assert KEY not in str(caught.value)


@asynchronous
async def test_a_redirect_within_the_origin_is_refused_as_well() -> None:
    moved = answer(307, b"", {"Location": "/v2/repo/r"})
    async with speaking(moved, ok(base_model="m")) as (api, server):
        with pytest.raises(errors.UnreachableError):
            await api.repo("r")
    assert len(server.requests) == 1


@asynchronous
async def test_a_server_that_hangs_up_is_unreadable() -> None:
    async with speaking(HANG_UP) as (api, server):
        with pytest.raises(errors.UnreachableError) as caught:
            await api.repo("r")
    assert len(server.requests) == 4
    assert server.url in caught.value.hint
