"""Calling a model endpoint: what is sent, what answers say, what becomes of every trouble."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections import Counter
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.service.wire import dumps
from reconciler.service.work.endpoint import chat as chat_module
from reconciler.service.work.endpoint.chat import Chat, Patience
from reconciler.service.work.endpoint.completion import (
    Call,
    Completion,
    answer_call,
    questions_call,
    read,
    sentence,
)
from reconciler.service.work.meter import NoMeter
from reconciler.service.work.model import AnswerRequest, ModelError, Prompt, QuestionsRequest

from .endpoint import Asked, Endpoint, Said, completion, echo, endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from reconciler.service.work.meter import Kind, Outcome

KEY = "sk-a-key-that-is-easy-to-find-in-whatever-is-written-down"
CALL = Call({"model": "m", "messages": [{"role": "user", "content": "why?"}]})


class Clock:
    """Time that passes when somebody sleeps, and notes for how long."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.now = max(self.now, until)


class Counted(NoMeter):
    """Counts how requests ended, and tokens."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.tokens = [0, 0]
        self.up: bool | None = None

    def model_request(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        self.outcomes[kind, outcome] += 1

    def model_tokens(self, prompt: int, completion: int) -> None:
        self.tokens = [self.tokens[0] + prompt, self.tokens[1] + completion]

    def model_up(self, up: bool) -> None:
        self.up = up


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(chat_module, "time", made)
    return made


@pytest.fixture(autouse=True)
def nothing_gives_the_key_away(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text


@asynccontextmanager
async def chatting(
    url: str, clock: Clock, meter: Counted | None = None, *, key: str | None = KEY, **patience: Any
) -> AsyncIterator[Chat]:
    chat = Chat(url, key, meter or Counted(), patience=Patience(**patience), sleep=clock.sleep)
    try:
        yield chat
    finally:
        await chat.close()


def complete(url: str, clock: Clock, call: Call = CALL, **more: Any) -> Completion:
    async def asking() -> Completion:
        async with chatting(url, clock, **more) as chat:
            return await chat.complete("answers", call)

    return asyncio.run(asking())


def refusal(url: str, clock: Clock, call: Call = CALL, **more: Any) -> str:
    with pytest.raises(ModelError) as caught:
        complete(url, clock, call, **more)
    assert KEY not in str(caught.value)
    return str(caught.value)


def in_turn(*said: Said) -> Callable[[Asked], Said]:
    """Say one thing after the other, then answer."""
    coming = iter(said)
    return lambda asked: next(coming, echo(asked))


def always(said: Said) -> Callable[[Asked], Said]:
    return lambda asked: said


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 (what it waits for happens on another thread)
            await asyncio.sleep(0.001)


def test_a_completion(clock: Clock) -> None:
    meter = Counted()
    with endpoint() as model:
        found = complete(model.url, clock, meter=meter)
    (asked,) = model.asked
    assert found == Completion("re: why?", 3, 7, "stop", {"finish_reason": "stop"})
    assert (asked.path, asked.body) == ("/v1/chat/completions", CALL.body)
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["User-Agent"].startswith("reconciler/")
    assert (meter.outcomes, meter.tokens) == ({("answers", "ok"): 1}, [7, 3])
    assert clock.slept == []


def test_without_a_key_none_is_sent(clock: Clock) -> None:
    with endpoint() as model:
        complete(model.url, clock, key=None)
    assert "Authorization" not in model.asked[0].headers


@pytest.mark.parametrize("end", ["", "/", "?api-version=1&x=a%2Bb", "/?api-version=1&x=a%2Bb"])
def test_the_address_may_end_in_a_slash_and_have_a_query(clock: Clock, end: str) -> None:
    with endpoint() as model:
        complete(f"{model.url}{end}", clock, Call(CALL.body, query={"extra": "ä &"}))
    path, _, query = model.asked[0].path.partition("?")
    own = ["api-version=1", "x=a%2Bb"] if "?" in end else []
    assert path == "/v1/chat/completions"
    assert query.split("&") == [*own, "extra=%C3%A4+%26"]


TROUBLES = [
    (Said({"error": {"message": "slow down"}}, 429), "rate_limited", "answered 429: slow down"),
    (Said({"error": "busy"}, 500), "server_error", "answered 500: busy"),
    (Said(b"", 503), "server_error", "answered 503"),
    (Said({"detail": "overloaded"}, 529), "server_error", "answered 529: overloaded"),
    (Said({"message": "late"}, 408), "server_error", "answered 408: late"),
    (Said(b"<html>Bad\n gateway</html>", 502), "server_error", "502: <html>Bad gateway</html>"),
    (Said(b"<html></html>"), "server_error", "answered with something that is no completion"),
    (Said(b""), "server_error", "something that is no completion"),
    (Said(b'{"choices":[{"message":{"content":"\xff"}}]}'), "server_error", "is no completion"),
    (Said({"choices": []}), "server_error", "something that is no completion"),
    (Said({"error": {"message": "upstream"}}), "server_error", "something that is no completion"),
    (Said([1, 2]), "server_error", "something that is no completion"),
    (Said(cut=True), "connection", "cannot be reached: "),
    (
        Said(wire=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
        "connection",
        "cannot be reached",
    ),
    (Said(wire=b"nonsense\r\n\r\n"), "connection", "cannot be reached: "),
    (Said(delay=30), "timeout", "gave no answer within 0.1 s"),
]


@pytest.mark.parametrize(("said", "outcome", "words"), TROUBLES)
def test_a_passing_trouble_is_waited_out(
    clock: Clock, said: Said, outcome: str, words: str
) -> None:
    meter = Counted()
    with endpoint(in_turn(said, said)) as model:
        found = complete(model.url, clock, meter=meter, timeout=0.1)
    assert found.text == "re: why?"
    assert len(model.asked) == 3
    assert meter.outcomes == {("answers", outcome): 2, ("answers", "ok"): 1}
    assert [0.375 <= clock.slept[0] <= 0.5, 0.75 <= clock.slept[1] <= 1.0] == [True, True]


@pytest.mark.parametrize(("said", "outcome", "words"), TROUBLES)
def test_a_lasting_trouble_is_given_up(clock: Clock, said: Said, outcome: str, words: str) -> None:
    with endpoint(always(said)) as model:
        told = refusal(model.url, clock, attempts={outcome: 2}, timeout=0.1)
    assert told.startswith(f"The model endpoint {model.url} ")
    assert words in told
    assert told.endswith("(after 2 attempts)")
    assert len(model.asked) == 2


def test_waits_double_up_to_a_bound(clock: Clock) -> None:
    with endpoint(always(Said(b"", 500))) as model:
        assert refusal(model.url, clock, first=1.0, most=5.0).endswith("(after 7 attempts)")
    bounds = [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert len(clock.slept) == len(bounds)
    for slept, bound in zip(clock.slept, bounds, strict=True):
        assert 0.75 * bound <= slept <= bound


def test_an_endpoint_that_is_not_there(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    told = refusal(url, clock)
    assert told.startswith(f"The model endpoint {url} cannot be reached: ")
    assert len(clock.slept) == 6


def test_an_endpoint_that_nobody_can_look_up(clock: Clock) -> None:
    url = f"http://two..dots.{'x' * 64}/v1"

    async def looking() -> bool:
        async with chatting(url, clock) as chat:
            return await chat.is_available()

    assert refusal(url, clock).startswith(f"The model endpoint {url} cannot be reached: ")
    assert not asyncio.run(looking())


def test_an_endpoint_that_accepts_no_connection(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_module, "_CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        told = refusal(f"http://127.0.0.1:{address[1]}/v1", clock, attempts={})
        for each in waiting:
            each.close()
    assert "600 s" not in told


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Said({"error": {"message": "bad key"}}, 401), "401: bad key. Its key is read from OPENAI"),
        (Said({"error": {"message": "no"}}, 403), "403: no. Its key is read from OPENAI_API_KEY."),
        (Said({"detail": "Not Found"}, 404), "404: Not Found. Is --model-url right (it usually"),
        (Said({"message": "max_tokens is too large"}, 400), "400: max_tokens is too large."),
        (Said(b"", 422), "answered 422."),
        (Said({"error": {"message": ["a", "b"]}}, 400), '400: ["a", "b"].'),
        (Said(b"\xff\x1b[31mred\r\n", 400), "400: \N{REPLACEMENT CHARACTER} [31mred."),
        (Said(b"x" * 1_000_000, 400), f"400: {'x' * 300}…."),
        (
            Said({"error": {"message": "Pay.", "code": "insufficient_quota"}}, 429),
            "answered 429: Pay..",
        ),
    ],
)
def test_a_refusal_is_final_and_told_in_a_sentence(clock: Clock, said: Said, words: str) -> None:
    meter = Counted()
    with endpoint(always(said)) as model:
        told = refusal(model.url, clock, meter=meter)
    assert told.startswith(f"The model endpoint {model.url} answered ")
    assert words in told
    assert (len(model.asked), clock.slept) == (1, [])
    assert meter.outcomes == {("answers", "refused"): 1}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(clock: Clock, status: int) -> None:
    with endpoint() as elsewhere:
        moved = {"Location": f"{elsewhere.url}/chat/completions"}
        with endpoint(always(Said(b"", status, moved))) as model:
            told = refusal(model.url, clock)
    assert "Redirects are not followed: give the final address as --model-url." in told
    assert (elsewhere.asked, elsewhere.looks) == ([], [])
    assert len(model.asked) == 1


@pytest.mark.parametrize("before", [0, 200, 260, 290])
@pytest.mark.parametrize("status", [401, 429])
def test_an_endpoint_that_echoes_the_key(clock: Clock, status: int, before: int) -> None:
    words = f"{'x' * before}{KEY} is no key"
    with endpoint(always(Said({"error": {"message": words}}, status))) as model:
        told = refusal(model.url, clock, attempts={})
    assert KEY[:6] not in told


@pytest.mark.parametrize(
    "said", [Said(wire=b"nonsense\r\n\r\n"), Said(b"", 401), Said(cut=True), Said(b"", 500)]
)
def test_what_stands_in_the_query_of_the_address_is_not_told(clock: Clock, said: Said) -> None:
    with endpoint(always(said)) as model:
        told = refusal(f"{model.url}?api-key=secret", clock, attempts={})
    assert model.asked[0].path.endswith("?api-key=secret")
    assert "secret" not in told


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("given", "waited"),
    [("7", 7.0), ("0.25", 0.25), ("date", 9.0), ("1000000", 120.0), ("9" * 400, 120.0)],
)
def test_retry_after_is_obeyed(clock: Clock, status: int, given: str, waited: float) -> None:
    value = formatdate(clock.time() + 9, usegmt=True) if given == "date" else given
    with endpoint(in_turn(Said(b"", status, {"Retry-After": value}))) as model:
        complete(model.url, clock)
    assert clock.slept == pytest.approx([waited])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("given", ["0", "-5", "nan", "inf", "soon", "past", ""])
def test_a_retry_after_that_names_no_time_is_no_reason_to_hurry(
    clock: Clock, status: int, given: str
) -> None:
    value = formatdate(clock.time() - 9, usegmt=True) if given == "past" else given
    again = Said(b"", status, {"Retry-After": value})
    with endpoint(in_turn(again, again, again)) as model:
        complete(model.url, clock)
    assert sum(clock.slept) >= 1


def test_a_429_with_retry_after_holds_all_calls(clock: Clock) -> None:
    waits: list[float] = []
    passed = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await passed.wait()

    async def asking(model: Endpoint) -> None:
        chat = Chat(model.url, KEY, Counted(), sleep=sleep)
        first = asyncio.create_task(chat.complete("answers", CALL))
        await until(lambda: waits == [7.0])
        others = [asyncio.create_task(chat.complete("questions", CALL)) for _ in range(5)]
        await until(lambda: waits == [7.0] * 6)
        assert len(model.asked) == 1
        clock.now += 7
        passed.set()
        await asyncio.gather(first, *others)
        await chat.close()

    with endpoint(in_turn(Said(b"", 429, {"Retry-After": "7"}))) as model:
        asyncio.run(asking(model))
    assert len(model.asked) == 7


def test_a_429_with_retry_after_holds_calls_in_the_queue_too(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_module, "MOST_AT_ONCE", 1)
    passed = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await passed.wait()

    async def asking(model: Endpoint) -> None:
        chat = Chat(model.url, KEY, Counted(), sleep=sleep)
        calls = [asyncio.create_task(chat.complete("answers", CALL)) for _ in range(3)]
        await asyncio.sleep(0.15)
        assert len(model.asked) == 1
        clock.now += 7
        passed.set()
        await asyncio.gather(*calls)
        await chat.close()

    with endpoint(in_turn(Said(b"", 429, {"Retry-After": "7"}, delay=0.05))) as model:
        asyncio.run(asking(model))
    assert len(model.asked) == 4


@pytest.mark.parametrize("said", [Said(b"", 429), Said(b"", 503, {"Retry-After": "7"})])
def test_any_other_trouble_holds_its_own_call_only(clock: Clock, said: Said) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(3600)

    async def asking(model: Endpoint) -> None:
        chat = Chat(model.url, KEY, Counted(), sleep=sleep)
        first = asyncio.create_task(chat.complete("answers", CALL))
        await until(lambda: len(waits) == 1)
        assert (await chat.complete("answers", CALL)).text == "re: why?"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await chat.close()

    with endpoint(in_turn(said)) as model:
        asyncio.run(asking(model))


def test_a_call_may_have_a_timeout_of_its_own(clock: Clock) -> None:
    with endpoint(always(Said(delay=30))) as model:
        told = refusal(model.url, clock, Call(CALL.body, timeout=0.05), attempts={})
    assert told.endswith("gave no answer within 0.05 s")


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_is_not_asked_for_this_machine(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with endpoint() as proxy, endpoint() as model:
        monkeypatch.setenv(name, proxy.url)
        for host in ("127.0.0.1", "localhost"):
            complete(model.url.replace("127.0.0.1", host), clock)
    assert (len(model.asked), proxy.asked) == (2, [])


@pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without"])
def test_a_netrc_file_does_not_concern_the_endpoint(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str | None
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password something\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with endpoint() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        complete("http://model.invalid/v1", clock, key=key)
    (asked,) = proxy.asked
    assert asked.path == "http://model.invalid/v1/chat/completions"
    assert asked.headers.get("Authorization") == (f"Bearer {KEY}" if key else None)


@pytest.mark.parametrize(
    ("models", "up"),
    [
        (Said({"data": []}), True),
        (Said(b"", 404), True),
        (Said(b"", 429), True),
        (Said(b"", 401), False),
        (Said(b"", 403), False),
        (Said(b"", 500), False),
        (Said(b"", 503), False),
        (Said(cut=True), False),
        (Said(wire=b"nonsense\r\n\r\n"), False),
    ],
)
def test_whether_an_endpoint_is_available(clock: Clock, models: Said, up: bool) -> None:
    meter = Counted()

    async def looking(model: Endpoint) -> bool:
        async with chatting(model.url, clock, meter) as chat:
            return await chat.is_available()

    with endpoint() as model:
        model.models = models
        assert asyncio.run(looking(model)) is up
    assert meter.up is up
    assert model.looks[0]["Authorization"] == f"Bearer {KEY}"


def test_many_who_ask_whether_it_is_available_look_once_in_a_while(clock: Clock) -> None:
    async def looking(model: Endpoint) -> None:
        async with chatting(model.url, clock) as chat:
            assert all(await asyncio.gather(*(chat.is_available() for _ in range(20))))
            model.models = Said(b"", 503)
            assert await chat.is_available()
            assert len(model.looks) == 1
            clock.now += 6
            assert not await chat.is_available()
            assert len(model.looks) == 2

    with endpoint() as model:
        asyncio.run(looking(model))


def test_an_endpoint_that_hangs_is_not_available(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_module, "_PROBE_SECONDS", 0.05)

    async def looking(url: str) -> bool:
        async with chatting(url, clock) as chat:
            return await chat.is_available()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not asyncio.run(looking(f"http://127.0.0.1:{silent.getsockname()[1]}/v1"))


# What is sent for a request.


def answer(**more: Any) -> AnswerRequest:
    messages = ({"role": "system", "content": "Be brief."},)
    given = {
        "model": "m",
        "prompt": Prompt(messages, (), "Be brief."),
        "question": "Why?",
        "sample": 0,
        "temperature": 0.5,
        "max_tokens": 9,
        "extra_kwargs": {},
        **more,
    }
    return AnswerRequest(**given)


BODY = {
    "model": "m",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
    "temperature": 0.5,
    "max_tokens": 9,
}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in BODY.items() if name not in names}


@pytest.mark.parametrize(
    ("extra", "call"),
    [
        ({}, Call(BODY)),
        ({"top_p": 0.9, "stop": ["\n"]}, Call({**BODY, "top_p": 0.9, "stop": ["\n"]})),
        ({"model": "other", "max_tokens": 1}, Call({**BODY, "model": "other", "max_tokens": 1})),
        ({"max_tokens": None, "temperature": None}, Call(without("max_tokens", "temperature"))),
        ({"top_p": None}, Call(BODY)),
        ({"extra_body": {"top_k": 5}}, Call({**BODY, "top_k": 5})),
        ({"top_k": 4, "extra_body": {"top_k": 5}}, Call({**BODY, "top_k": 5})),
        ({"extra_body": {"max_tokens": None}}, Call(without("max_tokens"))),
        ({"extra_body": None, "extra_headers": None, "extra_query": None}, Call(BODY)),
        ({"extra_headers": {"X-A": "b"}}, Call(BODY, headers={"X-A": "b"})),
        ({"extra_query": {"a": "b"}}, Call(BODY, query={"a": "b"})),
        ({"timeout": 3}, Call(BODY, timeout=3.0)),
        ({"timeout": None}, Call(BODY)),
    ],
)
def test_extra_kwargs(extra: dict[str, Any], call: Call) -> None:
    assert answer_call(answer(extra_kwargs=extra)) == call


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"messages": []}, "extra_kwargs may not hold 'messages'"),
        ({"n": 2}, "extra_kwargs may not hold 'n'"),
        ({"stream": True}, "extra_kwargs may not hold 'stream'"),
        ({"stream_options": {}}, "extra_kwargs may not hold 'stream_options'"),
        ({"extra_body": {"messages": []}}, "messages"),
        ({"extra_body": {"n": 2}}, "'n'"),
        ({"extra_body": {"stream": True}}, "stream"),
        ({"extra_body": [1]}, "extra_kwargs.extra_body must be an object"),
        ({"extra_headers": {"a": 1}}, "extra_kwargs.extra_headers must be an object of strings"),
        ({"extra_headers": ["a"]}, "extra_kwargs.extra_headers must be an object of strings"),
        ({"extra_query": {"a": None}}, "extra_kwargs.extra_query must be an object of strings"),
        ({"timeout": 0}, "extra_kwargs.timeout must be a number of seconds"),
        ({"timeout": True}, "extra_kwargs.timeout must be a number of seconds"),
        ({"timeout": "60"}, "extra_kwargs.timeout must be a number of seconds"),
        ({"timeout": 10**400}, "extra_kwargs.timeout must be a number of seconds"),
    ],
)
def test_extra_kwargs_that_nobody_could_send(extra: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError) as caught:
        answer_call(answer(extra_kwargs=extra))
    assert words in str(caught.value)


def test_tools_are_sent_unless_there_are_none() -> None:
    tool = {"type": "function", "function": {"name": "look"}}
    with_tools = answer(prompt=Prompt((), (tool,), ""))
    assert answer_call(with_tools).body["tools"] == [tool]
    assert "tools" not in answer_call(answer()).body
    assert "max_tokens" not in answer_call(answer(max_tokens=None)).body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
call_names = st.sampled_from(["extra_body", "extra_headers", "extra_query", "timeout", "top_p"])


@given(extra=st.dictionaries(call_names | st.text(), json_values, max_size=5))
def test_whatever_extra_kwargs_hold_is_sent_or_refused(extra: dict[str, Any]) -> None:
    try:
        call = answer_call(answer(extra_kwargs=extra))
    except ModelError:
        return
    assert call.body["messages"] == BODY["messages"]
    assert None not in call.body.values()
    assert call.timeout is None or call.timeout > 0


@pytest.mark.parametrize("name", ["X-A", "X A"])
def test_a_header_that_would_become_two_is_refused(clock: Clock, name: str) -> None:
    headers = {name: "a\r\nX-B: c"}
    with endpoint() as model:
        call = answer_call(answer(extra_kwargs={"extra_headers": headers}))
        assert "extra_kwargs" in refusal(model.url, clock, call)
    assert model.asked == []


def test_a_timeout_may_be_as_long_as_it_likes(clock: Clock) -> None:
    with endpoint() as model:
        call = answer_call(answer(extra_kwargs={"timeout": 1e308}))
        assert complete(model.url, clock, call).text == "re: Why?"


def questions(**more: Any) -> QuestionsRequest:
    return QuestionsRequest(kind="persona", model="m", prompt=Prompt(), wanted=3, **more)


@pytest.mark.parametrize(
    ("request_", "more"),
    [
        (questions(), {}),
        (questions(temperature=0.0, max_tokens=5), {"temperature": 0.0, "max_tokens": 5}),
        (questions(seed=0), {"seed": 0}),
        (questions(seed=40, asked=2), {"seed": 42}),
        (questions(asked=2), {}),
    ],
)
def test_a_call_for_questions(request_: QuestionsRequest, more: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": "Write!"}]
    wanted = Call({"model": "m", "messages": messages, **more})
    assert questions_call(request_, "Write!") == wanted


# What an answer says.

TOOL_CALLS = [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]


def raw(*content: Any, **message: Any) -> bytes:
    return json.dumps(completion(*content, **message)).encode()


@pytest.mark.parametrize(
    ("body", "text", "details"),
    [
        (raw("Because."), "Because.", {"finish_reason": "stop"}),
        (raw("Bec", finish_reason="length"), "Bec", {"finish_reason": "length"}),
        (raw("x", finish_reason=None), "x", {}),
        (raw(""), "", {"finish_reason": "stop"}),
        (
            raw(None, tool_calls=TOOL_CALLS, finish_reason="tool_calls"),
            "",
            {"tool_calls": TOOL_CALLS, "finish_reason": "tool_calls"},
        ),
        (raw("x", tool_calls=[], reasoning_content=None), "x", {"finish_reason": "stop"}),
        (
            raw("x", reasoning_content="hm"),
            "x",
            {"reasoning_content": "hm", "finish_reason": "stop"},
        ),
        (
            raw([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            "ab",
            {"finish_reason": "stop"},
        ),
        (
            raw(
                [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "b"}]
            ),
            "b",
            {"finish_reason": "stop"},
        ),
        (raw("\N{PILE OF POO}\0"), "\N{PILE OF POO}\0", {"finish_reason": "stop"}),
    ],
)
def test_what_a_completion_says(body: bytes, text: str, details: dict[str, Any]) -> None:
    found = read(body)
    assert found == Completion(text, 3, 7, details.get("finish_reason"), details)
    assert found.is_cut == (details.get("finish_reason") == "length")


@pytest.mark.parametrize(
    "more", [{}, {"usage": None}, {"usage": {}}, {"usage": {"completion_tokens": "3"}}]
)
def test_tokens_that_are_not_told_are_unknown(more: dict[str, Any]) -> None:
    said = {"choices": completion("x")["choices"], **more}
    assert read(json.dumps(said).encode()) == Completion(
        "x", None, None, "stop", {"finish_reason": "stop"}
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices":[{"message":{"content":"\\ud800 x"}}]}',
        b'{"choices":[{"message":{"content":"\xed\xa0\x80 x"}}]}',
        '{"choices":[{"message":{"content":"\\ud800 x"}}]}'.encode("utf-16"),
        b'{"choices":[{"message":{"content":"x","tool_calls":["\\udfff"]}}]}',
        b'{"choices":[{"message":{"content":"x","tool_calls":[NaN]}}]}',
        b'{"choices":[{"message":{"content":"x"},"finish_reason":-Infinity}]}',
        b'{"choices":[{"message":{"content":"x"},"finish_reason":1e999}]}',
    ],
    ids=["escaped", "in bytes", "UTF-16", "in details", "NaN", "infinite", "too large"],
)
def test_a_completion_can_be_stored(body: bytes) -> None:
    found = read(body)
    assert found is None or dumps([found.text, found.tokens, found.details]).encode()


@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_whatever_an_endpoint_says_can_be_read(body: bytes) -> None:
    found = read(body)
    assert found is None or isinstance(found.text, str)
    said = sentence(body)
    assert len(said) <= 301
    assert said.isprintable()


@given(content=json_values, message=st.dictionaries(st.text(), json_values, max_size=2))
def test_whatever_a_message_holds_can_be_stored(content: Any, message: dict[str, Any]) -> None:
    said = completion(content)
    said["choices"][0]["message"].update(message)
    found = read(json.dumps(said).encode())
    assert found is None or dumps([found.text, found.details]).encode()


@pytest.mark.parametrize("tokens", [-(10**400), -1, 10**400], ids=["least", "negative", "most"])
def test_a_count_of_tokens_that_nobody_can_believe(clock: Clock, tokens: int) -> None:
    from reconciler.service.telemetry.metrics import Metrics

    said = {**completion("x"), "usage": {"prompt_tokens": tokens, "completion_tokens": tokens}}
    metrics: Any = Metrics("1", dict)
    with endpoint(always(Said(said))) as model:
        assert complete(model.url, clock, meter=metrics).text == "x"
