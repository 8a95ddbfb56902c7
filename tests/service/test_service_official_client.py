"""The vendor's own Python client, validating every answer strictly, works unchanged."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import aibread
import pytest

from .support import EXPERT, KEY, MASTER_KEY, TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from reconciler.service import Running

GENERATORS: Any = [
    {"type": "hardcoded", "questions": ["a", "b"]},
    {"type": "oneshot_qs", "model": "claude", "numq": 3, "temperature": 1.0, "seed": 1},
    {"type": "custom", "numq": 2, "template_path": "mine.txt", "template_content": TEMPLATE},
]
OVERRIDES: Any = {
    "teacher_prompt": "expert",
    "student_prompt": "plain",
    "generators": GENERATORS,
    "num_traj_per_stimulus": 2,
    "max_tokens": 50,
    "extra_kwargs": {"top_p": 0.9},
}
PROMPTS: Any = {"expert": EXPERT, "plain": []}
TOOLS: Any = [{"type": "function", "function": {"name": "search"}}]


@pytest.fixture
def options(running: Running, user: str) -> dict[str, Any]:
    return {
        "base_url": running.url,
        "api_key": MASTER_KEY,
        "default_query": {"user_id": user},
        "max_retries": 0,
        "_strict_response_validation": True,
    }


@pytest.fixture
def bread(options: dict[str, Any]) -> Iterator[aibread.Bread]:
    with aibread.Bread(**options) as client:
        yield client


@pytest.fixture
def target(bread: aibread.Bread) -> str:
    bread.repo.create(repo_name="r")
    bread.prompts.create_batch("r", prompts=PROMPTS)
    bread.targets.create("r", target_name="t", template="default", overrides=OVERRIDES)
    return "t"


def complete(get: Callable[[], Any]) -> Any:
    for _ in range(500):
        status = get()
        if status.status == "complete":
            return status
        assert status.status == "running", status
    raise AssertionError(status)


async def complete_async(get: Callable[[], Awaitable[Any]]) -> None:
    for _ in range(500):
        if (await get()).status == "complete":
            return
        await asyncio.sleep(0.01)
    raise AssertionError


def test_health_and_repos(bread: aibread.Bread) -> None:
    assert bread.health.check().status == "healthy"
    repo = bread.repo.create(repo_name="my repo")
    assert repo == bread.repo.create(repo_name="my repo") == bread.repo.get("my repo")
    assert repo.base_model == "Qwen/Qwen3-32B"
    names: Any = bread.repo.list()
    assert names.repos == ["my repo"]
    page: Any = bread.repo.list(include_metadata=True, limit=1)
    assert [each.base_model for each in page.repos] == ["Qwen/Qwen3-32B"]
    assert (page.total, page.has_more) == (1, False)
    with pytest.raises(aibread.ConflictError, match="already exists"):
        bread.repo.create(repo_name="my repo", base_model="other")


def test_prompts(bread: aibread.Bread) -> None:
    bread.repo.create(repo_name="r")
    messages: Any = [*EXPERT, {"role": "assistant", "content": None, "tool_calls": []}]
    prompt = bread.prompts.create("r", prompt_name="p", messages=messages, tools=TOOLS)
    assert prompt.messages[1].content is None
    assert bread.prompts.get("p", repo_name="r").tools == TOOLS
    answer = bread.prompts.create_batch("r", prompts={**PROMPTS, "a/b": []})
    assert (answer.created, list(answer.failed)) == (["expert", "plain"], ["a/b"])
    assert bread.prompts.list("r").prompts == ["expert", "p", "plain"]
    with pytest.raises(aibread.ConflictError):
        bread.prompts.create("r", prompt_name="p", messages=[])


def test_targets(bread: aibread.Bread, target: str) -> None:
    config = bread.targets.get(target, repo_name="r").config
    assert (config.teacher_prompt, config.num_traj_per_stimulus) == ("expert", 2)
    assert config.api_model_name == "Qwen/Qwen3-32B"
    assert config.generators is not None
    assert config.generators[2].template_path == "templates/mine.txt"
    items: Any = [{"target_name": "heir", "template": "t", "overrides": {"temperature": 0.5}}]
    assert bread.targets.create_batch("r", targets=items).created == ["heir"]
    assert bread.targets.list("r").targets == ["heir", "t"]
    with pytest.raises(aibread.ConflictError, match=r"temperature is 0\.5, not 1\.0"):
        bread.targets.create("r", target_name="heir", template="t")
    assert bread.targets.delete("heir", repo_name="r").message
    with pytest.raises(aibread.NotFoundError, match="Target not found"):
        bread.targets.get("heir", repo_name="r")


def test_the_deprecated_calls(bread: aibread.Bread) -> None:
    with pytest.deprecated_call():
        assert bread.repo.set(repo_name="r").repo_name == "r"
    with pytest.deprecated_call():
        bread.prompts.set("p", repo_name="r", messages=EXPERT)  # type: ignore[arg-type]
    with pytest.deprecated_call():
        assert bread.prompts.batch_set("r", prompts=PROMPTS).created == ["expert", "plain"]
    with pytest.deprecated_call():
        bread.targets.set("t", repo_name="r", template="default", overrides=OVERRIDES)
    items: Any = [{"target_name": "t2", "template": "t"}]
    with pytest.deprecated_call():
        assert bread.targets.batch_set("r", targets=items).created == ["t2"]


def test_stim_and_rollout(bread: aibread.Bread, target: str) -> None:
    stim, rollout = bread.targets.stim, bread.targets.rollout
    assert stim.get(target, repo_name="r").status == "not_started"
    with pytest.raises(aibread.BadRequestError, match="Stim job must complete"):
        rollout.run(target, repo_name="r", poll=False)
    assert stim.run(target, repo_name="r", poll=False).status == "running"
    assert complete(lambda: stim.get(target, repo_name="r")).lines == 7
    page = stim.get_output(target, repo_name="r", offset=5, limit=2)
    assert [row["stimulus_id"] for row in page.output] == [5, 6]
    assert page.has_more is False
    started = rollout.run(target, repo_name="r", poll=False, idempotency_key="once")
    assert started.total_expected == 14
    assert complete(lambda: rollout.get(target, repo_name="r")).lines == 14
    rows = rollout.get_output(target, repo_name="r", limit=3)
    assert [row["trajectory_id"] for row in rows.output] == [0, 1, 0]
    assert rows.has_more is True
    assert stim.run(target, repo_name="r").status == "complete"
    assert rollout.run(target, repo_name="r").status == "complete"


def test_errors_arrive_as_the_client_knows_them(bread: aibread.Bread, options: Any) -> None:
    with pytest.raises(aibread.UnprocessableEntityError, match="invalid character"):
        bread.repo.create(repo_name="a/b")
    with pytest.raises(aibread.NotFoundError, match="Bakes are not part"):
        bread.repo.get_tree("r")
    with (
        aibread.Bread(**options | {"api_key": KEY}) as ordinary,
        pytest.raises(aibread.PermissionDeniedError),
    ):
        ordinary.repo.list()
    with (
        aibread.Bread(**options | {"api_key": "wrong"}) as stranger,
        pytest.raises(aibread.AuthenticationError),
    ):
        stranger.repo.list()


def test_users_are_apart(options: Any, user: str) -> None:
    del options["default_query"]
    with aibread.Bread(**options) as master:
        master.repo.create(repo_name="r", base_model="A", user_id=f"{user}-a")
        master.repo.create(repo_name="r", base_model="B", x_user_id=f"{user}-b")
        assert master.repo.get("r", x_user_id=f"{user}-a").base_model == "A"


def test_the_asynchronous_client(options: Any) -> None:
    async def work() -> list[Any]:
        async with aibread.AsyncBread(**options) as bread:
            await bread.repo.create(repo_name="r")
            await bread.prompts.create_batch("r", prompts=PROMPTS)
            await bread.targets.create(
                "r", target_name="t", template="default", overrides=OVERRIDES
            )
            for stage in (bread.targets.stim, bread.targets.rollout):
                await stage.run("t", repo_name="r", poll=False)
                await complete_async(partial(stage.get, "t", repo_name="r"))
            page = await bread.targets.rollout.get_output("t", repo_name="r")
            names = await bread.targets.list("r")
            await bread.targets.delete("t", repo_name="r")
            return [len(page.output), names.targets]

    assert asyncio.run(work()) == [14, ["t"]]
