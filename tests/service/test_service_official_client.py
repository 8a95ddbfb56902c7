"""The vendor's own Python client, validating every answer strictly, works unchanged."""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import nullcontext
from functools import cached_property, partial
from itertools import product
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import aibread
import pytest

from .support import EXPERT, KEY, MASTER_KEY, TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.service import Running

    Say = Callable[..., Any]
    """Calls a method by its dotted name and returns the parsed answer."""

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
DEPRECATED = {"repo.set", "prompts.set", "prompts.batch_set", "targets.set", "targets.batch_set"}
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


def surface(owner: object, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of everything that the client's resources can do."""
    for name, each in vars(type(owner)).items():
        if isinstance(each, cached_property) and not name.startswith("with_"):
            yield from surface(getattr(owner, name), f"{prefix}{name}.")
        elif prefix and inspect.isfunction(each) and not name.startswith("_"):
            yield f"{prefix}{name}"


def is_about_bakes(name: str) -> bool:
    return name.startswith(("bakes.", "recipes.")) or name == "repo.get_tree"


def is_to_be_parsed(how: str, name: str) -> bool:
    """Say whether the client should return the parsed answer: its ``run`` breaks on others."""
    return how == "parsed" or name.endswith(".run")


def speak(bread: aibread.Bread, how: str, name: str, *args: Any, **named: Any) -> Any:
    method = attrgetter(name)
    if is_to_be_parsed(how, name):
        return method(bread)(*args, **named)
    if how == "raw":
        return method(bread.with_raw_response)(*args, **named).parse()
    with method(bread.with_streaming_response)(*args, **named) as response:
        return response.parse()


async def speak_async(
    bread: aibread.AsyncBread, how: str, name: str, *args: Any, **named: Any
) -> Any:
    method = attrgetter(name)
    if is_to_be_parsed(how, name):
        return await method(bread)(*args, **named)
    if how == "raw":
        return await (await method(bread.with_raw_response)(*args, **named)).parse()
    async with method(bread.with_streaming_response)(*args, **named) as response:
        return await response.parse()


@pytest.fixture
def bread(options: dict[str, Any]) -> Iterator[aibread.Bread]:
    with aibread.Bread(**options) as client:
        yield client


@pytest.fixture(params=product(("sync", "async"), ("parsed", "raw", "streamed")), ids="-".join)
def way(request: pytest.FixtureRequest, options: dict[str, Any]) -> Iterator[Say]:
    """Every way in which the client can be asked."""
    kind, how = request.param
    if kind == "sync":
        with aibread.Bread(**options) as bread:
            yield partial(speak, bread, how)
        return
    with asyncio.Runner() as runner:
        client = aibread.AsyncBread(**options)
        yield lambda *args, **named: runner.run(speak_async(client, how, *args, **named))
        runner.run(client.close())


def test_the_whole_surface_in_every_way(way: Say, bread: aibread.Bread) -> None:
    said = set()

    def say(name: str, *args: Any, **named: Any) -> Any:
        said.add(name)
        with pytest.deprecated_call() if name in DEPRECATED else nullcontext():
            return way(name, *args, **named)

    repos(say)
    prompts(say)
    targets(say)
    stim_and_rollout(say)
    assert said == {name for name in surface(bread) if not is_about_bakes(name)}


def repos(say: Say) -> None:
    assert say("health.check").status == "healthy"
    repo = say("repo.create", repo_name="my repo")
    assert repo == say("repo.set", repo_name="my repo") == say("repo.get", "my repo")
    assert repo.base_model == "Qwen/Qwen3-32B"
    say("repo.create", repo_name="r")
    assert say("repo.list", limit=None).repos == ["my repo", "r"]
    page = say("repo.list", include_metadata=True, limit=1)
    assert [each.base_model for each in page.repos] == ["Qwen/Qwen3-32B"]
    assert (page.total, page.has_more) == (2, True)
    with pytest.raises(aibread.ConflictError, match="already exists"):
        say("repo.create", repo_name="my repo", base_model="other")


def prompts(say: Say) -> None:
    messages = [*EXPERT, {"role": "assistant", "content": None, "tool_calls": []}]
    prompt = say("prompts.create", "r", prompt_name="p", messages=messages, tools=TOOLS)
    assert prompt.messages[1].content is None
    assert say("prompts.get", "p", repo_name="r").tools == TOOLS
    assert say("prompts.set", "p", repo_name="r", messages=EXPERT).tools is None
    answer = say("prompts.create_batch", "r", prompts={**PROMPTS, "a/b": []})
    assert (answer.created, list(answer.failed)) == (["expert", "plain"], ["a/b"])
    assert say("prompts.batch_set", "r", prompts=PROMPTS).created == ["expert", "plain"]
    assert say("prompts.list", "r").prompts == ["expert", "p", "plain"]
    with pytest.raises(aibread.ConflictError, match="different messages"):
        say("prompts.create", "r", prompt_name="p", messages=[])


def targets(say: Say) -> None:
    config = {"template": "default", "overrides": OVERRIDES}
    target = say("targets.create", "r", target_name="t", **config)
    assert target == say("targets.get", "t", repo_name="r")
    assert target == say("targets.set", "t", repo_name="r", **config)
    assert (target.config.teacher_prompt, target.config.num_traj_per_stimulus) == ("expert", 2)
    assert target.config.api_model_name == "Qwen/Qwen3-32B"
    assert target.config.generators[2].template_path == "templates/mine.txt"
    heir = {"target_name": "heir", "template": "t", "overrides": {"temperature": 0.5}}
    assert say("targets.create_batch", "r", targets=[heir]).created == ["heir"]
    assert say("targets.batch_set", "r", targets=[heir]).created == ["heir"]
    assert say("targets.list", "r").targets == ["heir", "t"]
    with pytest.raises(aibread.ConflictError, match=r"temperature is 0\.5, not 1\.0"):
        say("targets.create", "r", target_name="heir", template="t")
    assert say("targets.delete", "heir", repo_name="r").message
    with pytest.raises(aibread.NotFoundError, match="Target not found"):
        say("targets.get", "heir", repo_name="r")


def stim_and_rollout(say: Say) -> None:
    target = {"target_name": "t", "repo_name": "r"}
    assert say("targets.stim.get", **target).status == "not_started"
    with pytest.raises(aibread.BadRequestError, match="Stim job must complete"):
        say("targets.rollout.run", **target, poll=False)
    assert say("targets.stim.run", **target, poll=False).status == "running"
    assert completed(say, "targets.stim.get").lines == 7
    page = say("targets.stim.get_output", **target, offset=5, limit=2)
    assert [row["stimulus_id"] for row in page.output] == [5, 6]
    assert page.has_more is False
    started = say("targets.rollout.run", **target, poll=False, idempotency_key="once")
    assert started.total_expected == 14
    assert completed(say, "targets.rollout.get").lines == 14
    rows = say("targets.rollout.get_output", **target, limit=3)
    assert [row["trajectory_id"] for row in rows.output] == [0, 1, 0]
    assert rows.has_more is True
    for stage in ("stim", "rollout"):
        assert say(f"targets.{stage}.run", **target).status == "complete"


def completed(say: Say, name: str) -> Any:
    deadline = time.monotonic() + 60
    while (status := say(name, "t", repo_name="r")).status != "complete":
        assert status.status == "running", status
        assert time.monotonic() < deadline, status
    return status


def test_errors_arrive_as_the_client_knows_them(bread: aibread.Bread, options: Any) -> None:
    with pytest.raises(aibread.UnprocessableEntityError, match="invalid character"):
        bread.repo.create(repo_name="a/b")
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


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_everything_about_bakes_is_elsewhere(bread: aibread.Bread) -> None:
    bread.repo.create(repo_name="r")
    names = [name for name in surface(bread) if is_about_bakes(name)]
    assert {"bakes.run", "recipes.get_recreation_plan", "repo.get_tree"} <= {*names}
    for name in names:
        method = attrgetter(name)(bread)
        given = {
            each.name: "r" if each.name == "repo_name" else "x"
            for each in inspect.signature(method).parameters.values()
            if each.default is each.empty
        }
        with pytest.raises(aibread.NotFoundError, match="Bakes are not part of this service"):
            method(**given)
