"""An API that answers nonsense, lies or noise: told in a sentence, and never acted upon."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cli.project import PROMPTS, target
from client.support import Answer, Clock, serving
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.client import Api, Http, HttpSettings
from reconciler.core.errors import ApiError, ExitCode
from reconciler.core.model.desired import Stage

from . import damage
from .honest import Honest
from .support import assert_calm, command

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = settings().max_examples
REPLACEABLE = {"on_change": "replace", "on_shortfall": "replace", "prevent_destroy": False}
MANIFESTS = "---\n".join([PROMPTS, target("one", policy=REPLACEABLE), target("two", questions=2)])
PERMISSIONS = ("--prune", "--allow-destroy", "--yes", "--timeout", "60s")

#: Bodies without any meaning for the call that they answer.
MEANINGLESS = st.one_of(
    st.binary(max_size=30).filter(lambda body: not body.strip().startswith(b"{")),
    st.sampled_from([b"", b"{", b"{}x", b"[]", b"null", b"<html>", b"\xff\xfe", b"9" * 5_000]),
    st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b'{"status": NaN}', b'{"status": 1e999}']),
    damage.VALUES.filter(lambda value: not isinstance(value, dict)).map(damage.as_json),
)
UNREADABLE = st.one_of(
    st.tuples(st.just(200), MEANINGLESS),
    st.tuples(st.sampled_from([204, 206, 300, 302, 304, 308]), MEANINGLESS),
    st.tuples(st.sampled_from([404, 409, 410, 418, 422]), MEANINGLESS),
    st.tuples(st.sampled_from([500, 502, 503, 504, 599]), MEANINGLESS | st.just(b'{"error": "x"}')),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Location", "Retry-After", "Date", "Set-Cookie", "Content-Type", "Link", "ETag", "Age"]
    ),
    st.one_of(
        st.sampled_from(
            [
                "javascript:alert(1)", "http://[::1", "//", "http://elsewhere.example/", "nan",
                "inf",
                "-1", "1e400", "9" * 400, "Wed, 21 Oct 2026 07:28:00 -0000", "text/html; charset=x",
                "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 +9999999999",
                "Wed, 21 Oct 99999999999999999999 07:28:00 GMT", "a=b; max-age=1e9; domain=.",
                "\x1b[2J", "\u202e", "",
            ]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20),
    ),
    max_size=3,
)  # fmt: skip


class Nonsense(Honest):
    """Tells the truth, but for the requests that are answered with nonsense."""

    def __init__(self, draw: Callable[[str], httpx.Response | None]) -> None:
        super().__init__()
        self.met = 0
        self._draw = draw

    def respond(self, request: httpx.Request, path: str) -> httpx.Response:
        given = self._draw(f"{request.method} {path}")
        if given is None:
            return super().respond(request, path)
        self.met += 1
        return given


def response(status: int, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.Response(status, content=body, headers=[*_encoded(headers)])


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), text.encode()) for name, text in headers.items()]


@pytest.fixture(scope="module")
def converged(surroundings: pytest.MonkeyPatch) -> tuple[dict[str, Any], bytes]:
    """Give what is live, and the lockfile, once everything is as declared."""
    api = Honest()
    with tempfile.TemporaryDirectory() as folder, api.answering(surroundings):
        Path(folder, "a.yaml").write_text(MANIFESTS)
        assert command("apply", folder).code == ExitCode.OK
        assert len(api.writes) == 8
        assert command("plan", "--detailed-exitcode", folder).code == ExitCode.OK
        return api.known, Path(folder, "reconciler.lock").read_bytes()


@settings(max_examples=2 * MANY)
@given(data=st.data())
def test_nonsense_is_never_taken_for_absence_or_for_a_difference(
    converged: tuple[dict[str, Any], bytes],
    surroundings: pytest.MonkeyPatch,
    data: st.DataObject,
) -> None:
    """Everything is as declared and nothing is protected: whatever is sent would do harm."""
    live, lock = converged
    kept = data.draw(st.sampled_from([0, 1, 2, 5]), label="requests answered well at first")
    spoiled = data.draw(st.tuples(UNREADABLE, HEADERS))
    always = data.draw(st.booleans(), label="whether all later ones are spoiled")

    def draw(request: str) -> httpx.Response | None:
        nonlocal kept
        kept -= 1
        is_met = kept == -1 or (always and kept < 0)
        return response(*spoiled[0], spoiled[1]) if is_met else None

    api = Nonsense(draw)
    api.known = json.loads(json.dumps(live))
    with tempfile.TemporaryDirectory() as folder, api.answering(surroundings):
        Path(folder, "a.yaml").write_text(MANIFESTS)
        lockfile = Path(folder, "reconciler.lock")
        lockfile.write_bytes(lock)
        verb, *options = data.draw(
            st.sampled_from(
                [("apply", *PERMISSIONS), ("plan", "--prune"), ("status",), ("refresh",)]
            )
        )
        ended = command(verb, *options, folder)
        assert_calm(ended)
        assert api.writes == []
        assert lockfile.read_bytes() == lock
        assert ended.code in {ExitCode.OK, ExitCode.ERROR}
        if always and api.met and verb != "refresh":
            assert ended.code == ExitCode.ERROR


@settings(max_examples=MANY)
@given(data=st.data())
def test_whatever_is_answered_ends_with_a_code_of_the_contract(
    surroundings: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    """Well-formed lies count for what they say; still nothing breaks, and nothing is deleted."""
    often = data.draw(st.sampled_from([2, 5, 20]), label="one in so many answers is a lie")
    rng = data.draw(st.randoms(use_true_random=False))
    lies = st.tuples(st.sampled_from([200, 201, 400, 404, 409, 422, 429]), HEADERS)
    api = Nonsense(lambda _: None)

    def draw(request: str) -> httpx.Response | None:
        if rng.randrange(often):
            return None
        path = request.partition(" ")[2]
        _, truth = api.truth(httpx.Request("GET", f"http://x{path}"), path)
        (status, headers), body = data.draw(lies), data.draw(damage.damaged(truth))
        return response(status, damage.as_json(body), headers)

    api = Nonsense(draw)
    with tempfile.TemporaryDirectory() as folder, api.answering(surroundings):
        Path(folder, "a.yaml").write_text(MANIFESTS)
        form = data.draw(st.sampled_from(["text", "json"]))
        ended = command("apply", "--timeout", "60s", "--format", form, folder)
        assert_calm(ended)
        assert ended.code != ExitCode.INVALID
        assert not [write for write in api.writes if write.startswith("DELETE")]
        if form == "json":
            assert ended.lines[-1]["exit_code"] == ended.code
        verb = data.draw(
            st.sampled_from([("plan", "--format", "markdown"), ("status",), ("refresh",)])
        )
        assert_calm(command(*verb, folder))


@pytest.mark.parametrize("depth", [90, 300, 900])
@pytest.mark.parametrize("where", ["extra_kwargs", "generators", "messages", "tools"])
def test_a_bottomless_answer_is_no_reason_to_break_down(
    converged: tuple[dict[str, Any], bytes],
    surroundings: pytest.MonkeyPatch,
    where: str,
    depth: int,
) -> None:
    bottomless = json.loads(f'{{"a": {"[" * depth}{"]" * depth}}}')
    live = json.loads(json.dumps(converged[0]))
    for path, value in live.items():
        if where in {"messages", "tools"} and path.endswith("/prompts/expert"):
            value[where] = [bottomless]
        elif where == "extra_kwargs" and path.endswith("/targets/one"):
            value["config"][where] = bottomless
        elif where == "generators" and path.endswith("/targets/one"):
            value["config"][where] = [bottomless]
    api = Honest()
    api.known = live
    with tempfile.TemporaryDirectory() as folder, api.answering(surroundings):
        Path(folder, "a.yaml").write_text(MANIFESTS)
        for verb in (
            ("plan",),
            ("plan", "--format", "json"),
            ("status",),
            ("apply",),
            ("refresh",),
        ):
            assert_calm(command(*verb, folder))
    assert api.writes == []


WORDS = st.sampled_from(
    [
        b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/2.0 ", b"200 OK", b"204 No", b"100 Continue", b"999 x",
        b"-1 x",
        b"404 Not Found", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\x00", b"Content-Length: 2", b"{}",
        b"Content-Length: -2", b"Content-Length: 99999999999999999999", b"Content-Length: 2, 3",
        b"Transfer-Encoding: chunked", b"Content-Encoding: gzip",
        b"Content-Encoding: br, x, deflate",
        b"Connection: close", b"Location: //", b"Retry-After: ", b"Set-Cookie: ", b": ",
        b"2\r\n{}\r\n",
        b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"zz\r\n", b"\x1f\x8b\x08\x00", b"SSH-2.0-x",
        b"\xff" * 9,
        b'{"base_model": "m"}', b"Upgrade: h2c", b"X: " + b"a" * 70_000,
    ]
)  # fmt: skip
NOISE = st.lists(WORDS | st.binary(max_size=12), max_size=10).map(b"".join)
HEAD = b"HTTP/1.1 200 OK\r\n"


async def noisily(noise: bytes) -> None:
    """Ask an API that answers with so many bytes and hangs up."""
    clock = Clock()
    async with serving(Answer(noise + b"!", cut=1), clock=clock) as server:
        async with Http(HttpSettings(server.url, "key", timeout=2.0), clock) as http:
            api = Api(http)
            for call in (api.repo("r"), api.target_names("r"), api.run("r", "t", Stage.STIM)):
                try:
                    await call
                except ApiError as error:
                    assert error.message  # noqa: PT017 - that it is no other error matters here
        starts = [request for request in server.requests if request.method == "POST"]
        assert len(starts) <= 1


@settings(max_examples=2 * MANY)
@given(
    st.one_of(NOISE, NOISE.map(HEAD.__add__), NOISE.map(lambda noise: HEAD + noise + b"\r\n\r\n{}"))
)
@example(
    HEAD + b"Location: javascript:alert(1)\r\nContent-Length: 2\r\n\r\n{}".replace(b"200", b"302")
)
@example(b"HTTP/1.1 302 Found\r\nLocation: javascript:alert(1)\r\nContent-Length: 2\r\n\r\n{}")
def test_noise_on_the_wire_is_an_answer_without_meaning(noise: bytes) -> None:
    asyncio.run(noisily(noise))


DETAILS = [
    {"detail": [{"loc": 5, "msg": "x"}]},
    {"detail": [{"loc": True, "msg": None}]},
    {"detail": {"message": {"message": {"msg": ["x"]}}}},
    {"error": {"message": 7}, "message": ["x"], "detail": [[], None, {"loc": {}}]},
]
WHEN = [
    ("Wed, 21 Oct 2026 07:28:00 -0000", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("Wed, 21 Oct 2026 07:28:00 +99999999999999", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00"),
]


@pytest.mark.parametrize("body", DETAILS, ids=json.dumps)
def test_the_sentence_of_a_refusal_may_have_any_shape(
    surroundings: pytest.MonkeyPatch, body: dict[str, Any]
) -> None:
    assert refused_with(surroundings, httpx.Response(422, json=body)) == ExitCode.ERROR


@pytest.mark.parametrize(("later", "sent"), WHEN)
def test_a_moment_to_come_back_may_be_no_moment_at_all(
    surroundings: pytest.MonkeyPatch, later: str, sent: str
) -> None:
    headers = {"Retry-After": later, "Date": sent}
    assert refused_with(surroundings, httpx.Response(429, headers=headers)) == ExitCode.ERROR


@pytest.mark.parametrize("place", ["javascript:alert(1)", "http://[", "\x1b[2J", "?", "x:y"])
def test_a_redirect_may_lead_nowhere(surroundings: pytest.MonkeyPatch, place: str) -> None:
    headers = {"Location": place}
    assert refused_with(surroundings, httpx.Response(302, headers=headers)) == ExitCode.ERROR


def refused_with(surroundings: pytest.MonkeyPatch, given: httpx.Response) -> int:
    content, headers = given.content, given.headers
    api = Nonsense(
        lambda _: httpx.Response(given.status_code, content=content, headers=headers.raw)
    )
    with tempfile.TemporaryDirectory() as folder, api.answering(surroundings):
        Path(folder, "a.yaml").write_text(MANIFESTS)
        ended = command("apply", folder)
        assert_calm(ended)
        assert api.writes == []
    return ended.code
