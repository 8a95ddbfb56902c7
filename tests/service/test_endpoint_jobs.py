"""Jobs that a model endpoint answers: the service and the endpoint, over real sockets."""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from reconciler.service import Running, Settings, embedded, hosting
from reconciler.service.work.endpoint import chat as chat_module

from .endpoint import Asked, Endpoint, Said, completion, echo, endpoint, numbered
from .support import EXPERT, KEY, MASTER_KEY, TEMPLATE, Api, client, hardcoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODEL_KEY = "sk-the-key-of-the-model-endpoint"
TEXT = EXPERT[0]["content"]


def settings(data: Path, model: Endpoint) -> Settings:
    return Settings(data, key=KEY, master_key=MASTER_KEY, model_url=model.url, model_key=MODEL_KEY)


@contextmanager
def service(data: Path, model: Endpoint) -> Iterator[Api]:
    with embedded(settings(data, model)) as running, client(running.url) as api:
        yield api


@pytest.fixture(autouse=True)
def nothing_to_complain_about(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


@pytest.fixture(scope="module")
def shared() -> Iterator[Endpoint]:
    with endpoint() as running:
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, shared: Endpoint) -> Iterator[Running]:
    with embedded(settings(tmp_path_factory.mktemp("service"), shared)) as running:
        yield running


@pytest.fixture
def model(shared: Endpoint) -> Endpoint:
    shared.reset(echo)
    return shared


@pytest.fixture
def api(served: Running, model: Endpoint, user: str) -> Iterator[Api]:
    with client(served.url, key=MASTER_KEY, user=user) as connected:
        yield connected


def until(reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.002)


def in_turn(*said: Said) -> Callable[[Asked], Said]:
    """Say one thing after the other; the last one again and again."""
    numbers = count()
    return lambda asked: said[min(next(numbers), len(said) - 1)]


def rollout(api: Api, **overrides: Any) -> str:
    """Create a target with a complete stim; return the path of its rollout."""
    path = api.target(**overrides)
    assert api.run(f"{path}/stim")["status"] == "complete"
    return f"{path}/rollout"


def questions(api: Api, path: str) -> list[str]:
    return [row["question"] for row in api.output(f"{path}/stim")]


# Questions.


def test_many_questions_take_several_requests(api: Api, model: Endpoint) -> None:
    numbers = count()

    def write(asked: Asked) -> Said:
        found = re.search(r"Write (\d+) questions", asked.text)
        assert found
        return numbered(*(f"Question {next(numbers)}?" for _ in range(int(found[1]))))

    model.says = write
    writer = {"model": "writer", "temperature": 0.3, "max_tokens": 5000, "seed": 7}
    generator = {"type": "custom", "numq": 250, "template_content": TEMPLATE, **writer}
    path = api.target(generators=[generator])
    assert api.run(f"{path}/stim")["status"] == "complete"
    assert questions(api, path) == [f"Question {number}?" for number in range(250)]
    wanted = [re.findall(r"Write (\d+)", asked.text) for asked in model.asked]
    assert wanted == [["100"], ["100"], ["50"]]
    assert [asked.body["seed"] for asked in model.asked] == [7, 8, 9]
    for asked in model.asked:
        assert {**asked.body, **writer, "seed": asked.body["seed"]} == asked.body
        assert asked.headers["Authorization"] == f"Bearer {MODEL_KEY}"
        assert f"questions about {TEXT}." in asked.text
    first, second, third = (asked.text.count("- Question") for asked in model.asked)
    assert (first, second, third) == (0, 100, 200)


def test_what_a_generator_leaves_open_is_left_to_the_endpoint(api: Api, model: Endpoint) -> None:
    model.says = in_turn(numbered("a?", "b?"))
    path = api.target(generators=[{"type": "persona", "numq": 2}], model_name="default-model")
    api.run(f"{path}/stim")
    (asked,) = model.asked
    assert asked.body.keys() == {"model", "messages"}
    assert asked.body["model"] == "default-model"
    assert TEXT in asked.text


def test_no_question_is_there_twice(api: Api, model: Endpoint) -> None:
    model.says = in_turn(
        numbered("what is  PIP", "Why?", "why", "How?"), numbered("HOW", "Last?", "Who?", "When?")
    )
    generators = [
        *hardcoded("What is pip?"),
        {"type": "oneshot_qs", "numq": 3},
        {"type": "persona", "numq": 1},
        *hardcoded("Last?"),
    ]
    path = api.target(generators=generators)
    assert api.run(f"{path}/stim")["status"] == "complete"
    assert questions(api, path) == ["What is pip?", "Why?", "How?", "Who?", "When?", "Last?"]
    first, second, third = (asked.text for asked in model.asked)
    assert first.endswith("\n- What is pip?\n- Last?\n")
    assert second.endswith("\n- What is pip?\n- Last?\n- Why?\n- How?\n")
    assert third.endswith("\n- Why?\n- How?\n- Who?\n")


def test_a_question_that_was_cut_off_is_asked_for_again(api: Api, model: Endpoint) -> None:
    model.says = in_turn(
        numbered("One?", "Two?", "What is the mea", finish_reason="length"), numbered("Three?")
    )
    path = api.target(generators=[{"type": "oneshot_qs", "numq": 3}])
    assert api.run(f"{path}/stim")["status"] == "complete"
    assert questions(api, path) == ["One?", "Two?", "Three?"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (numbered("One?", "Two?"), "the last 3 answers held nothing new"),
        (Said(completion("I cannot do that.")), "the last 3 answers held"),
        (Said({"error": {"message": "No."}}, 400), "The model endpoint {} answered 400: No.."),
    ],
    ids=["the same again", "a refusal in words", "an error"],
)
def test_a_stim_that_cannot_go_on_says_what_it_got(
    api: Api, model: Endpoint, said: Said, words: str
) -> None:
    model.says = in_turn(numbered("One?", "Two?"), said)
    generators = [*hardcoded("Zero?"), {"type": "persona", "numq": 5}]
    path = api.target(generators=generators)
    status = api.run(f"{path}/stim")
    sentence = f"generators[1] (persona) got 2 of 5 questions: {words.format(model.url)}"
    assert status["status"] == "failed"
    assert status["error"].startswith(sentence)
    assert status["lines"] == 3
    assert questions(api, path) == ["Zero?", "One?", "Two?"]


def test_a_failed_stim_is_made_anew(api: Api, model: Endpoint) -> None:
    model.says = in_turn(numbered("One?"), Said(b"", 400), numbered("Two?", "Three?"))
    path = api.target(generators=[{"type": "persona", "numq": 2}])
    first, second = api.run(f"{path}/stim"), api.run(f"{path}/stim")
    assert (first["status"], second["status"]) == ("failed", "complete")
    assert second["job_id"] != first["job_id"]
    assert questions(api, path) == ["Two?", "Three?"]


# Answers.


def test_what_an_answer_is_asked_with_and_what_is_kept_of_it(api: Api, model: Endpoint) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    calls = [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    message = {"tool_calls": calls, "reasoning_content": "Hm.", "finish_reason": "tool_calls"}
    model.says = in_turn(Said(completion(None, **message)))
    api.ok("POST", "/v1/repo", {"repo_name": "r"})
    messages = [*EXPERT, {"role": "assistant", "content": None, "tool_calls": calls}]
    body = {"prompt_name": "able", "messages": messages, "tools": [tool]}
    api.ok("POST", "/v1/repo/r/prompts", body)
    extra = {"top_p": 0.5, "temperature": 0.1, "extra_body": {"top_k": 3}}
    extra["extra_headers"] = {"X-Team": "docs"}
    extra["extra_query"] = {"tier": "cheap"}
    path = rollout(
        api,
        teacher_prompt="able",
        generators=hardcoded("Why?"),
        model_name="m",
        temperature=0.9,
        max_tokens=33,
        extra_kwargs=extra,
    )
    assert api.run(path)["status"] == "complete"
    (asked,) = model.asked
    assert asked.body == {
        "model": "m",
        "messages": [*messages, {"role": "user", "content": "Why?"}],
        "temperature": 0.1,
        "max_tokens": 33,
        "tools": [tool],
        "top_p": 0.5,
        "top_k": 3,
    }
    assert (asked.path, asked.headers["X-Team"]) == ("/v1/chat/completions?tier=cheap", "docs")
    assert api.output(path) == [
        {
            "stimulus_id": 0,
            "trajectory_id": 0,
            "stimulus": "Why?",
            "response": "",
            "model": "m",
            "temperature": 0.1,
            "tokens": 3,
            "tool_calls": calls,
            "reasoning_content": "Hm.",
            "finish_reason": "tool_calls",
        }
    ]


def test_conditioned_questions_are_put_to_the_student(api: Api, model: Endpoint) -> None:
    student = [{"role": "system", "content": "Be plain."}]
    api.ok("POST", "/v1/repo", {"repo_name": "r"})
    api.ok("POST", "/v1/repo/r/prompts", {"prompt_name": "plain", "messages": student})
    generators = [*hardcoded("a?", rollout_with_conditioned=True), *hardcoded("b?")]
    path = rollout(api, student_prompt="plain", generators=generators, max_concurrency=1)
    assert api.run(path)["status"] == "complete"
    sent = [asked.body["messages"] for asked in model.asked]
    assert sent == [
        [*student, {"role": "user", "content": "a?"}],
        [*EXPERT, {"role": "user", "content": "b?"}],
    ]
    stim = api.output(path.replace("rollout", "stim"))
    assert stim[0]["trajectory_override_stimulus"] == "Be plain.\n\na?"
    assert "trajectory_override_stimulus" not in stim[1]
    assert [row["stimulus"] for row in api.output(path)] == ["a?", "b?"]


def test_max_concurrency_is_reached_and_never_exceeded(api: Api, model: Endpoint) -> None:
    model.says = lambda asked: Said(completion("x"), delay=0.01)
    path = rollout(api, num_traj_per_stimulus=30, max_concurrency=7)
    assert api.run(path)["status"] == "complete"
    assert (model.most, len(model.asked)) == (7, 60)


def test_a_failed_rollout_goes_on_where_it_was(api: Api, model: Endpoint) -> None:
    """Rows behind the gap are kept too."""

    def refuse_b(asked: Asked) -> Said:
        if asked.text != "b":
            return echo(asked)
        until(lambda: api.ok("GET", path).get("progress_percent", 100) >= 50)
        return Said({"error": "No b!"}, 400)

    generators = hardcoded("a", "b", "c")
    path = rollout(api, generators=generators, num_traj_per_stimulus=2, max_concurrency=4)
    model.says = refuse_b
    first = api.run(path)
    assert first["error"].startswith("stimulus 1, trajectory ")
    assert first["error"].endswith(f"The model endpoint {model.url} answered 400: No b!.")
    assert (first["status"], first["lines"], first["total_expected"]) == ("failed", 2, 6)
    assert [row["stimulus"] for row in api.output(path)] == ["a", "a"]
    made = Counter(asked.text for asked in model.asked if asked.text != "b")
    model.asked.clear()
    model.says = echo
    second = api.run(path)
    assert (second["status"], second["lines"], second["total_expected"]) == ("complete", 6, 6)
    assert second["job_id"] != first["job_id"]
    assert "error" not in second
    again = Counter(asked.text for asked in model.asked)
    assert again["b"] == 2
    assert made + again == {"a": 2, "b": 2, "c": 2}
    rows = [(row["stimulus_id"], row["trajectory_id"]) for row in api.output(path)]
    assert rows == [(stimulus, sample) for stimulus in range(3) for sample in range(2)]


def test_a_failed_rollout_begins_anew_when_its_prompt_has_changed(
    api: Api, model: Endpoint
) -> None:
    path = rollout(api, max_concurrency=1)
    model.says = in_turn(Said(completion("old")), Said({"error": "No!"}, 400))
    assert api.run(path)["lines"] == 1
    changed = [{"role": "system", "content": "You are someone else."}]
    api.put("/v1/repo/r/prompts/expert", {"messages": changed})
    model.says = in_turn(Said(completion("new")))
    model.asked.clear()
    assert api.run(path)["status"] == "complete"
    assert [row["response"] for row in api.output(path)] == ["new", "new"]
    assert [asked.body["messages"][:-1] for asked in model.asked] == [changed, changed]


# Ends.


@pytest.mark.parametrize("stage", ["stim", "rollout"])
def test_deleting_a_target_ends_its_requests(api: Api, model: Endpoint, stage: str) -> None:
    model.says = lambda asked: Said(completion("1. x?"), delay=60)
    if stage == "stim":
        path, under_way = f"{api.target(generators=[{'type': 'persona'}])}/stim", 1
    else:
        path, under_way = rollout(api, num_traj_per_stimulus=50, max_concurrency=6), 6
    api.ok("POST", path)
    until(lambda: len(model.asked) == under_way)
    target, _, _ = path.rpartition("/")
    api.ok("DELETE", target)
    until(lambda: model.gone == under_way)
    model.says = echo
    assert api.get(path).status_code == 404
    assert api.target() == target
    assert api.ok("GET", path)["status"] == "not_started"
    time.sleep(0.1)
    assert len(model.asked) == under_way
    assert api.output(path) == []


def test_deleting_a_target_while_it_waits_ends_it_too(api: Api, model: Endpoint) -> None:
    model.says = lambda asked: Said(b"", 500)
    path = rollout(api, num_traj_per_stimulus=50, max_concurrency=1)
    api.ok("POST", path)
    until(lambda: len(model.asked) == 1)
    api.ok("DELETE", path.removesuffix("/rollout"))
    time.sleep(0.6)  # it would have asked again by now
    assert len(model.asked) == 1


def test_answers_under_way_at_the_end_are_kept_and_none_are_begun(
    tmp_path: Path, model: Endpoint
) -> None:
    goes_on = threading.Event()

    def when_told(asked: Asked) -> Said:
        assert goes_on.wait(60)
        return echo(asked)

    with service(tmp_path, model) as api:
        path = rollout(api, num_traj_per_stimulus=15, max_concurrency=4)
        model.says = when_told
        api.ok("POST", path)
        until(lambda: len(model.asked) == 4)
        url = urlsplit(str(api.http.base_url))
        let_go = threading.Thread(target=release, args=((url.hostname, url.port), goes_on))
        let_go.start()
    let_go.join()
    assert len(model.asked) == 4
    with service(tmp_path, model) as api:
        status = api.settled(path)
        rows = api.output(path)
    assert (status["status"], len(rows)) == ("complete", 30)
    assert Counter(asked.text for asked in model.asked) == {"a": 15, "b": 15}


def release(address: Any, goes_on: threading.Event) -> None:
    """Let the answers go on a while after a service stopped to listen."""
    until(lambda: not is_listening(address))
    time.sleep(0.2)
    goes_on.set()


def is_listening(address: Any) -> bool:
    try:
        socket.create_connection(address, timeout=60).close()
    except OSError:
        return False
    return True


def test_nobody_waits_at_the_end_for_a_request_that_is_not_under_way(
    tmp_path: Path, model: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "_ANSWER_GRACE_SECONDS", 30)
    with service(tmp_path, model) as api:
        path = rollout(api, max_concurrency=1)
        model.says = in_turn(Said(b"", 429, {"Retry-After": "60"}))
        api.ok("POST", path)
        until(lambda: len(model.asked) == 1)
        time.sleep(0.05)
        before = time.monotonic()
    assert time.monotonic() - before < 15
    assert len(model.asked) == 1


def test_health_follows_the_endpoint(
    api: Api, model: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_module, "_PROBE_FRESH_SECONDS", 0.0)
    healthy = api.ok("GET", "/v1/health")
    assert healthy["status"] == "healthy"
    model.models = Said(b"", 503)
    degraded = api.ok("GET", "/v1/health")
    assert degraded["status"] == "degraded"
    assert degraded["reason"] == "The model endpoint does not answer"
    model.models = Said({"data": []})
    assert api.ok("GET", "/v1/health") == healthy


def test_the_key_of_the_endpoint_is_written_nowhere(
    tmp_path: Path, model: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with service(tmp_path, model) as api:
        path = rollout(api)
        model.says = in_turn(Said({"error": f"{MODEL_KEY}: no"}, 401))
        error = api.run(path)["error"]
        metrics = api.get("/metrics").text
        written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert error.endswith("answered 401: …: no. Its key is read from OPENAI_API_KEY.")
    assert 'model_requests_total{kind="answers",outcome="refused"}' in metrics
    for text in (error, metrics, caplog.text, written.decode(errors="replace")):
        assert MODEL_KEY not in text
