"""Creating many things in few requests: nothing is lost, repeated, or replaced unseen."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import virtual

from reconciler.client import Api, Http, HttpSettings
from reconciler.core.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    ExitCode,
    NotFoundError,
    PaymentRequiredError,
    UnreachableError,
)
from reconciler.core.model.manifest import Document, Kind, ResourceId
from reconciler.core.planning import compute_plan
from reconciler.engine.batches import in_batches
from reconciler.engine.creation import BATCH, BATCH_BYTES, FEW, TRIES
from reconciler.engine.executor import execute
from reconciler.engine.observer import observe
from reconciler.engine.pacing import LOOPBACK
from reconciler.engine.run import RunOptions
from reconciler.service import Settings, embedded
from reconciler.workflow.connection import SystemClock

from .support import REPO, Memory, Ran, World, declare, document, prompt, stim_only

if TYPE_CHECKING:
    from pathlib import Path

LOST = UnreachableError("POST /v1/…: no answer in time")
WHOLE = [f"q{number:04}" for number in range(999)]  # the thousandth prompt is ``p``
MANY = WHOLE[: 3 * FEW]


def prompts(names: list[str] = MANY) -> list[Document]:
    return [prompt(name, f"I am {name}.") for name in names]


def idle(name: str, **spec: Any) -> Document:
    """Declare a target of which nothing is run."""
    return stim_only(name, stim={"state": "none"}, **spec)


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": text}]}


def prompt_codes(ran: Ran, code: ExitCode) -> set[str]:
    """Return the prompts that ended like this."""
    of_prompts = (o for o in ran.outcomes.values() if o.resource.kind is Kind.PROMPT)
    return {outcome.resource.name for outcome in of_prompts if outcome.code is code}


def sent_singly(world: World) -> set[str]:
    return {call.of[1] for call in world.api.asked("create_prompt")}


def creating(world: World) -> list[str]:
    """Return the calls that creating took. The listings of a repo that is new belong to it."""
    names = (call.name for call in world.api.calls)
    return [name for name in names if name.startswith("create") or name == "prompt_names"]


# The cutting.


@given(
    items=st.lists(st.text(max_size=20)),
    most=st.integers(1, 7),
    largest=st.integers(1, 100),
)
def test_batches_keep_every_item_and_their_bounds(
    items: list[str], most: int, largest: int
) -> None:
    batches = in_batches(items, lambda item: item, most=most, largest=largest)
    assert [item for batch in batches for item in batch] == items
    for batch in batches:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or len(json.dumps(batch, separators=(",", ":"))) - 1 <= largest
    for batch, following in pairwise(batches):
        longer = json.dumps([*batch, following[0]], separators=(",", ":"))
        assert len(batch) == most or len(longer) - 1 > largest


# How many requests it takes.


@virtual
async def test_a_thousand_prompts_and_targets_take_few_requests() -> None:
    world = World()
    world.lockfile.on_write = lambda: world.clock.advance(0.01)  # so that writes are spread
    ran = await world.apply(*prompts(WHOLE), *map(idle, WHOLE), idle("last"))
    assert ran.code is ExitCode.OK
    assert len(world.api.repos[REPO].prompts) == len(world.api.repos[REPO].targets) == 1000
    assert len(creating(world)) <= 30
    assert (await world.apply(*prompts(WHOLE), *map(idle, WHOLE), idle("last"))).plan.converged


@pytest.mark.parametrize("repos", [1, 10])
def test_the_local_service_takes_few_requests_for_a_thousand(tmp_path: Path, repos: int) -> None:
    homes = [f"home{number}" for number in range(repos)]
    each = range(1000 // repos)
    documents = [
        document_in(home, kind, f"n{number:04}")
        for home in homes
        for kind in (Kind.PROMPT, Kind.TARGET)
        for number in each
    ]
    desired = declare(*(document(Kind.REPO, home, spec={}) for home in homes), *documents)

    async def create(url: str, key: str) -> int:
        async with Http(HttpSettings(url, key), SystemClock()) as http:
            api, clock = Api(http), SystemClock()
            observed = await observe(desired, None, api)
            plan = compute_plan(desired, observed, None, api_url=url)
            before = http.requests
            await execute(
                *(desired, observed, None, plan),
                api=api,
                writer=Memory(),
                clock=clock,
                emit=lambda event: None,
                options=RunOptions(LOOPBACK),
            )
            requests = http.requests - before
            seen = await observe(desired, None, api)
            assert compute_plan(desired, seen, None, api_url=url).pending == ()
            return requests

    with embedded(Settings(tmp_path / "data")) as running:
        requests = asyncio.run(create(running.url, running.key))
    # A repo whose base model is not declared is asked for it, and there is repo ``r`` besides.
    assert requests <= 30 if repos == 1 else requests <= 5 * repos + 2


def document_in(home: str, kind: Kind, name: str) -> Document:
    made = prompt(name, f"I am {name}.") if kind is Kind.PROMPT else idle(name, teacher="n0000")
    metadata = {"repo": home, "name": name}
    return Document("test.yaml", 0, kind, {**made.value, "metadata": metadata})


@virtual
async def test_few_prompts_are_created_by_the_call_that_replaces_nothing() -> None:
    world = World()
    await world.apply(*prompts(WHOLE[: FEW - 1]))
    assert creating(world) == ["create_repo", *["create_prompt"] * FEW]


@virtual
async def test_many_prompts_are_listed_once_more_and_created_together() -> None:
    world = World()
    await world.apply(*prompts())
    assert creating(world) == ["create_repo", "prompt_names", "create_prompts"]
    assert world.api.repos[REPO].prompts["q0001"] == said("I am q0001.")
    assert {id_.name for id_ in world.lockfile.lock.prompts} == {"p", *MANY}


@virtual
async def test_a_prompt_with_tools_is_created_singly_for_a_batch_would_lose_them() -> None:
    world = World()
    tools = [{"type": "function", "function": {"name": "look"}}]
    spec = {**said("Look."), "tools": tools}
    equipped = [document(Kind.PROMPT, f"tooled{number}", spec=spec) for number in range(4)]
    await world.apply(*prompts(), *equipped)
    assert sent_singly(world) == {f"tooled{number}" for number in range(4)}
    assert len(set(world.api.times("create_prompt"))) == 1
    assert world.api.repos[REPO].prompts["tooled0"]["tools"] == tools


@virtual
async def test_large_prompts_are_spread_over_several_calls() -> None:
    world = World()
    text = "x" * (BATCH_BYTES // (FEW + 2))
    await world.apply(*(prompt(name, text) for name in MANY))
    batches = world.api.asked("create_prompts")
    assert batches
    assert max(len(call.of) - 1 for call in batches) <= FEW + 2
    assert len(world.api.repos[REPO].prompts) == 1 + len(MANY)


# What others do meanwhile.


@virtual
async def test_what_others_created_since_the_plan_is_not_replaced() -> None:
    world = World()

    def others_write() -> None:
        world.api.repos[REPO].prompts |= {"q0001": said("Mine!"), "q0002": said("I am q0002.")}

    world.api.before["prompt_names"] = others_write
    ran = await world.apply(*prompts())
    assert prompt_codes(ran, ExitCode.ERROR) == {"q0001"}
    assert "already exists" in ran.outcomes[f"Prompt {REPO}/q0001"].message
    assert sent_singly(world) == {"q0001", "q0002"}
    assert world.api.repos[REPO].prompts["q0001"] == said("Mine!")
    assert len(world.api.repos[REPO].prompts) == 1 + len(MANY)


@virtual
async def test_after_a_lost_answer_nothing_that_is_there_is_replaced() -> None:
    """The first call has its effect; before the next look somebody changes one of the prompts."""
    world = World()
    world.api.fail("create_prompts", LOST, times=1, lost=True)

    def others_write() -> None:
        world.api.before["prompt_names"] = lambda: world.api.repos[REPO].prompts.update(
            q0001=said("Mine!")
        )

    world.api.before["create_prompts"] = others_write
    ran = await world.apply(*prompts())
    assert prompt_codes(ran, ExitCode.ERROR) == {"q0001"}
    assert len(world.api.asked("create_prompts")) == 1
    assert world.api.repos[REPO].prompts["q0001"] == said("Mine!")


@virtual
async def test_a_batch_that_was_lost_on_its_way_is_sent_again_after_another_look() -> None:
    world = World()
    world.api.fail("create_prompts", LOST, times=TRIES - 1)
    ran = await world.apply(*prompts())
    assert ran.code is ExitCode.OK
    assert creating(world) == ["create_repo", *["prompt_names", "create_prompts"] * TRIES]


@virtual
async def test_a_batch_that_never_gets_an_answer_is_given_up() -> None:
    world = World()
    world.api.fail("create_prompts", LOST)
    ran = await world.apply(*prompts(), idle("a"))
    assert prompt_codes(ran, ExitCode.ERROR) == {"p", *MANY}
    assert len(world.api.asked("create_prompts")) == TRIES
    assert "a" not in world.api.repos[REPO].targets


# What the API says of it.


@virtual
async def test_an_item_that_failed_is_told_in_the_words_of_the_service() -> None:
    world = World()
    world.api.fail("batch item", ApiError("too rude"), "q0003")
    ran = await world.apply(*prompts())
    assert prompt_codes(ran, ExitCode.ERROR) == {"q0003"}
    assert ran.outcomes[f"Prompt {REPO}/q0003"].message == "too rude"
    assert ResourceId(Kind.PROMPT, REPO, "q0003") not in world.lockfile.lock.prompts
    assert not sent_singly(world)


@virtual
async def test_an_item_of_which_nothing_is_said_is_not_believed_to_be_there() -> None:
    world = World()
    world.api.untold = {"q0004", "b"}
    world.api.fail("create_prompt", ApiError("too long"), "q0004")
    world.api.fail("create_target", ApiError("too wide"), "b")
    ran = await world.apply(*prompts(), idle("a"), idle("b"))
    assert sent_singly(world) == {"q0004"}
    assert prompt_codes(ran, ExitCode.ERROR) == {"q0004"}
    assert ran.codes() == {"a": ExitCode.OK, "b": ExitCode.ERROR}
    assert ran.message("b") == "too wide"


@pytest.mark.parametrize("refusal", [NotFoundError("404: what?"), ApiError("405: not here")])
@virtual
async def test_a_refused_batch_of_prompts_falls_apart_into_items(refusal: ApiError) -> None:
    world = World()
    world.api.fail("create_prompts", refusal)
    world.api.fail("create_prompt", ApiError("422: bad"), "q0005")
    ran = await world.apply(*prompts())
    assert prompt_codes(ran, ExitCode.ERROR) == {"q0005"}
    assert len(world.api.asked("create_prompts")) == 1


@virtual
async def test_a_refused_key_ends_everything() -> None:
    world = World()
    world.api.fail("create_prompts", AuthenticationError("401: who?"))
    with pytest.raises(AuthenticationError):
        await world.apply(*prompts(), idle("a"))
    assert not world.api.asked("create_prompt")
    assert not world.api.asked("create_target")


@virtual
async def test_missing_credits_block_and_nothing_is_tried_singly() -> None:
    world = World()
    world.api.fail("create_prompts", PaymentRequiredError("402: no credits left"))
    ran = await world.apply(*prompts())
    assert prompt_codes(ran, ExitCode.BLOCKED) == {"p", *MANY}
    assert not world.api.asked("create_prompt")


@virtual
async def test_a_conflict_in_a_large_batch_of_targets_is_found_in_few_requests() -> None:
    world = World()
    names = [f"t{number:03}" for number in range(BATCH)]
    leaves = {"t007": "t150", "t190": "t150"}
    targets = [idle(name, template=leaves.get(name, "default")) for name in names]
    world.api.before["create_targets"] = lambda: world.api._create(
        REPO, {"target_name": "t100", "template": "default", "overrides": {"max_tokens": 1}}
    )
    ran = await world.apply(*targets)
    codes = ran.codes()
    assert {name for name in names if codes[name] is not ExitCode.OK} == {"t100"}
    assert set(world.api.repos[REPO].targets) == set(names)
    calls = [call for call in world.api.calls if call.name.startswith("create_target")]
    assert len(calls) <= 2 * FEW + 10


@virtual
async def test_targets_of_a_service_without_batches_are_created_all_the_same() -> None:
    world = World()
    names = [f"t{number:03}" for number in range(5 * FEW)]
    world.api.fail("create_targets", ConflictError("409: not together"))
    ran = await world.apply(*(idle(name) for name in names))
    assert ran.code is ExitCode.OK
    assert set(world.api.repos[REPO].targets) == set(names)
    assert len(world.api.asked("create_target")) == len(names)
    assert len(world.api.asked("create_targets")) < len(names) / 2
