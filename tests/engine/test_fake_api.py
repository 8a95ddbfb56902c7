"""The API in memory answers like the local service: the same calls, and no difference."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import virtual_time
from fake_api import FakeApi

from reconciler.client import Api, Http, HttpSettings
from reconciler.core.errors import ApiError
from reconciler.core.model.desired import Stage
from reconciler.core.model.observed import LivePrompt, LiveStage, LiveTarget
from reconciler.service import Settings, embedded
from reconciler.workflow.connection import SystemClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from reconciler.engine.ports import WriteApi

QUESTIONS = {"generators": [{"type": "hardcoded", "questions": ["a", "b"]}]}
CONFIG: dict[str, Any] = {"teacher_prompt": "p", "num_traj_per_stimulus": 3, **QUESTIONS}


def item(name: str, template: str = "default", **overrides: Any) -> dict[str, Any]:
    return {"target_name": name, "template": template, "overrides": overrides}


STEPS: tuple[Callable[[WriteApi], Awaitable[object]], ...] = (
    lambda api: api.repo("r"),
    lambda api: api.prompt_names("r"),
    lambda api: api.target_names("r"),
    lambda api: api.prompt("r", "p"),
    lambda api: api.target("r", "t"),
    lambda api: api.stage("r", "t", Stage.STIM),
    lambda api: api.create_prompt("r", "p", {"messages": []}),
    lambda api: api.create_repo("r", None),
    lambda api: api.create_repo("r", "Qwen/Qwen3-32B"),
    lambda api: api.create_repo("r", "another"),
    lambda api: api.repo("r"),
    lambda api: api.create_prompt("r", "p", {"messages": []}),
    lambda api: api.create_prompt("r", "p", {"messages": []}),
    lambda api: api.create_prompt("r", "p", {"messages": [{"role": "user", "content": "x"}]}),
    lambda api: api.create_prompts("r", {"q": [], "p": [{"role": "user", "content": "new"}]}),
    lambda api: api.create_prompts("nowhere", {"q": []}),
    lambda api: api.create_prompts("r", {"q": []}),
    lambda api: api.prompt("r", "p"),
    lambda api: api.prompt_names("r"),
    lambda api: api.create_target("r", item("t", **CONFIG)),
    lambda api: api.create_target("r", item("t", **CONFIG)),
    lambda api: api.create_target("r", item("t", **CONFIG, max_tokens=7)),
    lambda api: api.target("r", "t"),
    lambda api: api.create_target("r", item("orphan", "nowhere")),
    lambda api: api.create_targets("r", [item("a", "t", max_tokens=7), item("b", "a")]),
    lambda api: api.target("r", "b"),
    lambda api: api.create_targets("r", [item("c", "nowhere"), item("d", "t"), item("e", "c")]),
    lambda api: api.create_targets("r", [item("f", "t"), item("t", "t", max_tokens=9)]),
    lambda api: api.target_names("r"),
    lambda api: api.create_target("r", item("empty")),
    lambda api: api.run("r", "empty", Stage.STIM),
    lambda api: api.run("r", "nowhere", Stage.STIM),
    lambda api: api.run("r", "t", Stage.ROLLOUT),
    lambda api: api.stage("r", "t", Stage.STIM),
    lambda api: api.run("r", "t", Stage.STIM),
    lambda api: settled(api, "t", Stage.STIM),
    lambda api: api.run("r", "t", Stage.STIM),
    lambda api: api.run("r", "t", Stage.ROLLOUT),
    lambda api: settled(api, "t", Stage.ROLLOUT),
    lambda api: api.delete_target("r", "t"),
    lambda api: api.delete_target("r", "t"),
    lambda api: api.stage("r", "t", Stage.STIM),
    lambda api: api.target_names("r"),
)


async def settled(api: WriteApi, target: str, stage: Stage) -> LiveStage:
    for _ in range(500):
        seen = await api.stage("r", target, stage)
        if seen.status != "running":
            return seen
        await asyncio.sleep(0.02)
    raise AssertionError(f"{target} never ended")


async def answers(api: WriteApi) -> list[object]:
    return [await answer(api, step) for step in STEPS]


async def answer(api: WriteApi, step: Callable[[WriteApi], Awaitable[object]]) -> object:
    """Return what came back, without what two implementations may say in different words."""
    try:
        given = await step(api)
    except ApiError as error:
        return type(error)
    if isinstance(given, LiveTarget | LivePrompt):
        held = given.config if isinstance(given, LiveTarget) else given.content
        return {key: value for key, value in held.items() if value is not None}
    if isinstance(given, LiveStage):
        running = given.status == "running"
        return (given.status, None if running else (given.lines, given.expected))
    if isinstance(given, dict):  # the verdicts on a batch
        return {name: why is None for name, why in given.items()}
    return given


def test_the_api_in_memory_answers_like_the_service(tmp_path: Path) -> None:
    async def from_memory() -> list[object]:
        return await answers(FakeApi(virtual_time.clock()))

    async def from_service(url: str, key: str) -> list[object]:
        async with Http(HttpSettings(url, key), SystemClock()) as http:
            return await answers(Api(http))

    with embedded(Settings(tmp_path / "data")) as running:
        real = asyncio.run(from_service(running.url, running.key))
    for number, (fake, true) in enumerate(zip(virtual_time.run(from_memory()), real, strict=True)):
        assert fake == true, f"step {number}"
