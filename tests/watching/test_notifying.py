"""Messages to a webhook, over real connections: what arrives, what is tried again, what is not."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders import target_id

from reconciler.core.errors import UsageError
from reconciler.core.model.desired import Stage
from reconciler.core.watching.standing import WHOLE_RUN, Change, Standing, State, Transition
from reconciler.render import notification
from reconciler.workflow.watching.notifying import checked, deliver

from .webhook import Received, webhook

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def hook() -> Iterator[Received]:
    with webhook() as received:
        yield received


async def no_time(_: float) -> None:
    pass


def send(received: Received, text: str = "hello", **more: tuple[str, ...]) -> str:
    return deliver(checked(received.url), {"text": text}, sleep=no_time, **more)


def test_a_message_arrives_once_as_json_and_without_credentials(hook: Received) -> None:
    assert send(hook) == ""
    assert hook.messages == [{"text": "hello"}]
    assert hook.paths == ["/hooks/T0/secret-part"]
    (headers,) = hook.headers
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers


@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_may_pass_is_tried_again(hook: Received, status: int) -> None:
    hook.answers = [status, status]
    assert send(hook) == ""
    assert len(hook.raw) == 3


def test_nobody_tries_for_ever(hook: Received) -> None:
    hook.answers = [500] * 9
    assert send(hook) == "127.0.0.1 answers 500"
    assert len(hook.raw) == 3


@pytest.mark.parametrize("status", [400, 404, 410, 302, 307])
def test_a_refusal_is_final_and_no_redirect_is_followed(hook: Received, status: int) -> None:
    hook.answers = [status]
    assert str(status) in send(hook)
    assert len(hook.raw) == 1


def test_trouble_is_told_without_the_secret_part_of_the_address(hook: Received) -> None:
    hook.answers = [404]
    assert "secret" not in send(hook)
    assert "secret" not in repr(checked(hook.url))


def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"http://127.0.0.1:{port}/x"
    assert "127.0.0.1: connection refused" in deliver(checked(url), {}, sleep=no_time)


@pytest.mark.parametrize(
    ("variable", "value"), [("HTTPS_PROXY", "socks9://proxy"), ("SSL_CERT_FILE", "/nowhere")]
)
def test_an_environment_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    trouble = deliver(checked("https://hooks.example/x"), {}, sleep=no_time)
    assert "of the environment cannot be used" in trouble
    assert variable in trouble


def test_a_webhook_that_never_answers_holds_nobody_up_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reconciler.workflow.watching.notifying._PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        assert deliver(checked(url), {}, sleep=no_time) == "127.0.0.1: no answer in time"


@pytest.mark.parametrize("key", ["the-key-of-this-test", 'a"quoted\\key'])
def test_no_key_leaves_even_if_the_message_quotes_it(hook: Received, key: str) -> None:
    send(hook, f"the API said: {key} is wrong", secrets=("", key))
    assert hook.messages == [{"text": "the API said: [removed] is wrong"}]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example/x",
        "ftp://hooks.example/x",
        "http://hooks.example/x",
        "https://user:pass@hooks.example/",
        "https://hooks.example/#part",
        "https://hooks.example:0/",
        "https://[hooks/",
        "https://hooks.example/a b",
        "https://hooks.example/\r\nX: y",
        "https:///nowhere",
        "https://hooks..example/",
    ],
)
def test_unfit_addresses_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked(url)
    assert not url or url not in f"{caught.value.message} {caught.value.hint}"


def test_the_query_belongs_to_the_address() -> None:
    hook = checked("https://hooks.example:8443?token=1")
    assert (hook.origin, hook.path) == ("https://hooks.example:8443", "/?token=1")


def transition(number: int, change: Change, message: str = "") -> Transition:
    now = Standing(State(change) if change in {"failed", "blocked"} else State.CONVERGED)
    standing = Standing(now.state, Stage.STIM, message)
    return Transition(target_id(f"t{number}"), change, State.RUNNING, standing)


def test_a_message_names_the_worst_first_and_counts_the_rest() -> None:
    found = [transition(n, Change.CONVERGED) for n in range(30)] + [transition(99, Change.FAILED)]
    message = notification.as_json(found, "docs", "https://api.example")
    assert message["summary"] == "1 failed, 30 converged"
    assert len(message["transitions"]) == notification.MOST
    assert message["more"] == 31 - notification.MOST
    assert message["transitions"][0]["resource"] == "coding/t99"
    assert (message["project"], message["api_url"]) == ("docs", "https://api.example")


def test_for_slack_it_is_one_text_without_markup_of_others() -> None:
    found = [
        transition(1, Change.FAILED, "see <https://evil.example|here> & \x1b[31m<!channel>\nx")
    ]
    message = notification.as_slack(found, None, "")
    assert message == {
        "text": "*reconciler*: 1 failed\n"
        "• target coding/t1 stim failed: see &lt;https://evil.example|here&gt; &amp; "
        "&lt;!channel&gt; x"
    }
    assert len(found) == 1


def unread(number: int) -> Transition:
    why = f"GET /v1/repo/r{number}: connection refused"
    now = Standing(State.FAILED, message=why, is_unread=True)
    return Transition(target_id(f"t{number}"), Change.FAILED, State.CONVERGED, now)


def lines(found: list[Transition]) -> list[str]:
    _, *told = notification.as_slack(found, None, "")["text"].splitlines()
    return [line.removeprefix("• ") for line in told]


def test_what_befell_many_for_one_reason_is_told_once() -> None:
    found = [unread(number) for number in range(1000)]
    assert lines(found) == ["1,000 targets could not be read: connection refused"]
    found += [transition(number, Change.BLOCKED, "no credits") for number in range(4)]
    assert lines(found) == [
        "1,000 targets could not be read: connection refused",
        "4 targets blocked: no credits (coding/t0, coding/t1, coding/t2 and 1 more)",
    ]


def test_long_names_leave_room_for_what_happened() -> None:
    found = [transition(number, Change.FAILED, "no answer") for number in range(5)]
    long = [
        replace(it, resource=target_id("t" * 100 + str(number), repo="r" * 100))
        for number, it in enumerate(found)
    ]
    (told,) = lines(long)
    assert told.startswith("5 targets failed: no answer (rrr")
    assert len(told) <= 300


def test_few_are_told_by_name() -> None:
    assert lines([unread(1), unread(2)]) == [
        "target coding/t1 could not be read: GET /v1/repo/r1: connection refused",
        "target coding/t2 could not be read: GET /v1/repo/r2: connection refused",
    ]


def test_many_that_recover_are_told_together_and_many_that_converge_by_name() -> None:
    found = [transition(number, Change.RECOVERED) for number in range(30)]
    assert lines(found) == ["30 targets recovered (coding/t0, coding/t1, coding/t10 and 27 more)"]
    found = [transition(number, Change.CONVERGED) for number in range(30)]
    assert lines(found)[-2:] == ["target coding/t26 stim converged", "and 10 more"]


def test_a_sentence_of_any_length_is_cut() -> None:
    (named,) = notification.as_json([transition(1, Change.FAILED, "x" * 9999)], None, "")[
        "transitions"
    ]
    assert len(named["message"]) == 300
    assert len(json.dumps(named)) < 1000


def test_a_run_as_a_whole_is_called_that() -> None:
    run = Transition(WHOLE_RUN, Change.FAILED, State.CONVERGED, Standing(State.FAILED))
    assert notification.line(run) == "the run failed"
