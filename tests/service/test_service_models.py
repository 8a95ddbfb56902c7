"""How jobs deal with the model they ask, and with a database in trouble."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.service import Settings, embedded
from reconciler.service.resources import prompts, repos, stages, targets
from reconciler.service.state import datadir
from reconciler.service.state.store import Store
from reconciler.service.work import runner as runner_module
from reconciler.service.work.model import Answer, AnswerRequest, ModelError, QuestionsRequest
from reconciler.service.work.production import Workshop
from reconciler.service.work.runner import Runner

from .support import EXPERT, KEY, TEMPLATE, client, hardcoded

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]


async def shout(request: AnswerRequest) -> Answer:
    return Answer(f"{request.question.upper()} {request.sample}", 2)


async def count_up(request: QuestionsRequest) -> Sequence[str]:
    return [f"question {len(request.known)}"]


class Scripted:
    """A model that does what a test says, and remembers what it was asked."""

    def __init__(
        self,
        answer: Callable[[AnswerRequest], Awaitable[Answer]] = shout,
        questions: Callable[[QuestionsRequest], Awaitable[Sequence[str]]] = count_up,
    ) -> None:
        self._answer = answer
        self._questions = questions
        self.asked: list[QuestionsRequest] = []
        self.known: list[list[str]] = []

    def name(self, model: str) -> str:
        return f"scripted/{model}"

    async def is_available(self) -> bool:
        return True

    def close(self) -> None:
        pass

    async def questions(self, request: QuestionsRequest) -> Sequence[str]:
        self.asked.append(request)
        self.known.append(list(request.known.values()))
        return await self._questions(request)

    async def answer(self, request: AnswerRequest) -> Answer:
        return await self._answer(request)


class Bench:
    """A store with a target and a runner with a model, without a web server."""

    def __init__(self, data: Path, model: Scripted, **overrides: Any) -> None:
        self.data, self.model = data, model
        self.store = Store(data)
        config = {"teacher_prompt": "expert", "generators": hardcoded("a", "b"), **overrides}
        repos.create(self.store, "", {"repo_name": "r"})
        prompts.put(self.store, "", "r", "expert", {"messages": EXPERT})
        body = {"template": "default", "overrides": config}
        targets.put(self.store, "", "r", "t", body)

    def run(self, *path: str) -> Json:
        """Run stages one after the other and return the last one's output page."""
        return asyncio.run(self._run(path or ("stim", "rollout")))

    def page(self, stage: str) -> Json:
        text = stages.page(self.store, "", "r", "t", stage, offset=0, limit=1000)
        page: Json = json.loads(text)
        return page

    async def _run(self, path: Sequence[str]) -> Json:
        shop = Workshop(self.store, self.model)
        runner = Runner(shop, datadir.runner_lock(self.data))
        async with runner.running(), asyncio.timeout(60):
            for stage in path:
                stages.start(self.store, "", "r", "t", stage)
                runner.wake()
                while (page := self.page(stage))["status"] == "running":  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        return page


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    benches: list[Bench] = []

    def build(model: Scripted, **overrides: Any) -> Bench:
        benches.append(Bench(tmp_path, model, **overrides))
        return benches[-1]

    yield build
    for each in benches:
        each.store.close()


def test_what_a_model_is_asked(bench: Any) -> None:
    custom = {
        "type": "custom",
        "model": "writer",
        "numq": 2,
        "temperature": 0.5,
        "max_tokens": 9,
        "template_content": TEMPLATE,
    }
    model = Scripted()
    bench(model, generators=[custom]).run("stim")
    first, second = model.asked
    assert (first.kind, first.model, first.wanted, first.template) == (
        "custom",
        "writer",
        2,
        TEMPLATE,
    )
    assert (first.temperature, first.max_tokens) == (0.5, 9)
    assert first.prompt.text == EXPERT[0]["content"]
    assert (model.known, second.wanted, second.asked) == ([[], ["question 0"]], 1, 1)


def test_a_model_that_repeats_itself(bench: Any) -> None:
    async def same(request: QuestionsRequest) -> Sequence[str]:
        return ["one", "two", "one"]

    page = bench(Scripted(questions=same), generators=[{"type": "persona", "numq": 3}]).run("stim")
    assert page["status"] == "failed"
    assert page["error"] == (
        "generators[0] (persona) got 2 of 3 questions: the last 3 answers held nothing new"
    )
    assert [row["question"] for row in page["output"]] == ["one", "two"]


def test_a_model_that_gives_more_than_it_was_asked_for(bench: Any) -> None:
    async def generous(request: QuestionsRequest) -> Sequence[str]:
        return [str(number) for number in range(10)]

    page = bench(Scripted(questions=generous), generators=[{"type": "persona", "numq": 3}]).run(
        "stim"
    )
    assert [row["question"] for row in page["output"]] == ["0", "1", "2"]


def test_answers_in_any_order_become_rows_in_order(bench: Any) -> None:
    active: list[int] = []

    async def late_first(request: AnswerRequest) -> Answer:
        active.append(len(active) + 1)
        await asyncio.sleep(0.05 if request.sample == 0 else 0)
        return await shout(request)

    page = bench(Scripted(late_first), num_traj_per_stimulus=4, max_concurrency=3).run()
    expected = [f"{letter} {sample}" for letter in "AB" for sample in range(4)]
    assert [row["response"] for row in page["output"]] == expected
    assert page["output"][0]["model"] == "scripted/Qwen/Qwen3-32B"


def test_never_more_than_max_concurrency_at_once(bench: Any) -> None:
    now, most = 0, 0

    async def watch(request: AnswerRequest) -> Answer:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        return await shout(request)

    bench(Scripted(watch), num_traj_per_stimulus=10, max_concurrency=3).run()
    assert most == 3


def test_a_model_that_gives_up_fails_the_job_and_rows_stay(bench: Any) -> None:
    async def give_up(request: AnswerRequest) -> Answer:
        if request.sample == 2:
            raise ModelError("The model is out of order")
        return await shout(request)

    page = bench(Scripted(give_up), num_traj_per_stimulus=3, max_concurrency=1).run()
    assert page["status"] == "failed"
    assert page["error"] == "stimulus 0, trajectory 2: The model is out of order"
    assert [row["response"] for row in page["output"]] == ["A 0", "A 1"]
    assert (page["lines"], page["total_expected"], page["has_more"]) == (2, 6, False)


def test_a_fault_of_the_service_fails_the_job_too(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def stumble(request: AnswerRequest) -> Answer:
        raise RuntimeError("a bug")

    page = bench(Scripted(stumble)).run()
    assert (page["status"], page["error"]) == (
        "failed",
        "Internal error: see the log of the service",
    )
    assert "a bug" in caplog.text


def test_a_database_in_trouble_delays_a_job_but_loses_nothing(
    bench: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add_rows, troubles = Store.add_rows, iter([True, False, True])

    def sometimes(self: Store, *args: Any) -> None:
        if next(troubles, False):
            raise sqlite3.OperationalError("database or disk is full")
        add_rows(self, *args)

    monkeypatch.setattr(Store, "add_rows", sometimes)
    monkeypatch.setattr(runner_module, "SETBACK_SECONDS", 0.01)
    page = bench(Scripted(), generators=[{"type": "persona", "numq": 2000}]).run("stim")
    assert (page["status"], page["lines"]) == ("complete", 2000)
    assert [row["stimulus_id"] for row in page["output"]] == list(range(1000))
    assert "disk is full" in caplog.text


def test_a_broken_store_shows_in_health_and_as_500(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with embedded(Settings(tmp_path, key=KEY)) as service, client(service.url) as api:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "ping", broken)
            patch.setattr(Store, "repos", broken)
            assert api.ok("GET", "/v1/health")["status"] == "degraded"
            response = api.get("/v1/repo")
        assert response.status_code == 500
        assert response.json()["code"] == "INTERNAL_ERROR"
        assert "I/O" not in response.text
        assert "disk I/O error" in caplog.text
        assert api.ok("GET", "/v1/repo") == {"repos": []}
