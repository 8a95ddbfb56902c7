"""Creating: in dependency order, in few requests, and with failures that stay where they are."""

from __future__ import annotations

import pytest
from virtual_time import virtual

from reconciler.core.errors import (
    ApiError,
    ConflictError,
    ExitCode,
    PaymentRequiredError,
    UnreachableError,
)
from reconciler.core.model.desired import Stage
from reconciler.core.model.events import EventKind
from reconciler.core.model.manifest import Kind, ResourceId

from .support import REPO, World, declare, prompt, stim_only, target_id

LOST = UnreachableError("POST /v1/…: no answer in time")


def writes(world: World) -> list[str]:
    return [note for note in world.api.journal if not note.startswith("lock")]


@virtual
async def test_what_others_need_is_created_first() -> None:
    world = World()
    ran = await world.apply(stim_only("leaf", template="root"), stim_only("root"))
    assert ran.code is ExitCode.OK
    creations = ["create_repo r", "create_prompt r/p", "create_targets r/root/leaf"]
    assert writes(world) == [*creations, "run r/root/stim", "run r/leaf/stim"]


@virtual
async def test_a_single_target_takes_the_single_call() -> None:
    world = World()
    await world.apply(stim_only("a"))
    assert writes(world) == [
        "create_repo r",
        "create_prompt r/p",
        "create_target r/a",
        "run r/a/stim",
    ]


@virtual
async def test_many_targets_take_few_requests_and_templates_still_come_first() -> None:
    world = World()
    names = [f"t{number:03}" for number in range(120)]
    # Every target builds on the next one: the last by name has to come first.
    chain = [
        stim_only(name, template=after)
        for name, after in zip(names, [*names[1:], "default"], strict=True)
    ]
    ran = await world.apply(*chain, parallelism=120)
    assert ran.code is ExitCode.OK
    assert len(world.api.asked("create_targets")) <= 4
    assert len(world.api.repos[REPO].targets) == 120


@virtual
async def test_nothing_of_a_target_is_run_before_it_is_created() -> None:
    world = World()
    await world.apply(stim_only("a"), stim_only("b"))
    first_run = next(n for n, note in enumerate(writes(world)) if note.startswith("run"))
    assert all(note.startswith("run") for note in writes(world)[first_run:])


@virtual
async def test_a_bad_item_of_a_batch_fails_alone() -> None:
    world = World()
    world.api.fail("batch item", ApiError("temperature is too high"), "bad")
    ran = await world.apply(stim_only("a"), stim_only("bad"), stim_only("b"))
    assert ran.codes() == {"a": ExitCode.OK, "bad": ExitCode.ERROR, "b": ExitCode.OK}
    assert ran.message("bad") == "temperature is too high"
    assert not world.api.asked("run", "bad")


@pytest.mark.parametrize("refusal", [ConflictError("409: exists already"), ApiError("422: bad")])
@virtual
async def test_a_batch_that_is_refused_as_a_whole_falls_apart_into_items(refusal: ApiError) -> None:
    """A conflict refuses a whole batch, says the API; independent targets go on nevertheless."""
    world = World()
    world.api.fail("create_targets", refusal)
    world.api.fail("create_target", refusal, "taken")
    ran = await world.apply(stim_only("a"), stim_only("taken"), stim_only("b"))
    assert ran.codes() == {"a": ExitCode.OK, "taken": ExitCode.ERROR, "b": ExitCode.OK}


@virtual
async def test_a_failed_template_takes_its_users_with_it_and_nobody_else() -> None:
    world = World()
    world.api.fail("batch item", ApiError("not today"), "root")
    ran = await world.apply(
        stim_only("root"), stim_only("leaf", template="root"), stim_only("other")
    )
    assert ran.codes() == {"root": ExitCode.ERROR, "leaf": ExitCode.ERROR, "other": ExitCode.OK}
    assert not world.api.asked("run", "leaf")


@virtual
async def test_a_failed_prompt_takes_only_its_dependants() -> None:
    world = World()
    world.api.fail("create_prompt", ApiError("422: too long"), "q")
    ran = await world.apply(prompt("q"), stim_only("a"), stim_only("b", teacher="q"))
    assert ran.codes() == {"a": ExitCode.OK, "b": ExitCode.ERROR}
    assert "q" in ran.message("b")
    assert "b" not in world.api.repos[REPO].targets


@virtual
async def test_a_failed_repo_takes_everything_in_it() -> None:
    world = World()
    world.api.fail("create_repo", ApiError("500"))
    ran = await world.apply(stim_only("a"))
    assert ran.codes() == {"a": ExitCode.ERROR}
    assert writes(world) == ["create_repo r"]


@virtual
async def test_no_credits_while_creating_block_what_depends_on_it() -> None:
    world = World()
    world.api.fail("create_prompt", PaymentRequiredError("402: no credits left"))
    ran = await world.apply(stim_only("a"))
    assert ran.code is ExitCode.BLOCKED
    assert not world.api.asked("run")


@virtual
async def test_a_creation_whose_answer_got_lost_is_found_by_the_next_run() -> None:
    world = World()
    world.api.fail("create_targets", LOST, times=1, lost=True)
    first = await world.apply(stim_only("a"), stim_only("b"))
    assert first.code is ExitCode.ERROR
    second = await world.apply(stim_only("a"), stim_only("b"))
    assert second.code is ExitCode.OK
    assert len(world.api.asked("create_targets")) == 1
    assert {event.resource for event in second.told(EventKind.ADOPTED)} == {
        target_id("a"),
        target_id("b"),
    }


@virtual
async def test_the_lockfile_knows_every_resource_as_soon_as_it_is_there() -> None:
    world = World()
    world.api.fail("run", ApiError("400: no"))
    await world.apply(stim_only("a"), prompt("q"))
    lock = world.lockfile.lock
    assert ResourceId(Kind.REPO, REPO) in lock.repos
    assert {id_.name for id_ in lock.prompts} == {"p", "q"}
    assert lock.targets[target_id("a")].stages[Stage.STIM].status == "not_started"
    orders = [note.split()[0] for note in world.api.journal]
    assert orders.index("lock") < orders.index("create_prompt")


@virtual
async def test_a_replacement_is_deleted_and_created_again() -> None:
    world = World()
    freely = {"on_change": "replace", "prevent_destroy": False}
    await world.apply(stim_only("a", policy=freely))
    world.api.journal.clear()
    ran = await world.apply(stim_only("a", policy=freely, max_tokens=9))
    assert ran.code is ExitCode.OK
    assert writes(world) == ["delete_target r/a", "create_target r/a", "run r/a/stim"]
    assert world.api.starts["a", Stage.STIM] == 2
    assert world.api.repos[REPO].targets["a"].config["max_tokens"] == 9


@virtual
async def test_nothing_is_deleted_for_a_replacement_that_cannot_be_made() -> None:
    world = World()
    freely = {"on_change": "replace", "prevent_destroy": False}
    await world.apply(stim_only("a", policy=freely))
    world.api.fail("create_prompt", ApiError("422: too long"), "q")
    ran = await world.apply(prompt("q"), stim_only("a", policy=freely, teacher="q"))
    assert ran.codes() == {"a": ExitCode.ERROR}
    assert not world.api.asked("delete_target")


@virtual
async def test_a_revision_leaves_the_old_target_alone() -> None:
    world = World()
    await world.apply(stim_only("a"))
    ran = await world.apply(stim_only("a", max_tokens=9, policy={"on_change": "revise"}))
    assert ran.code is ExitCode.OK
    digest = declare(stim_only("a", max_tokens=9)).targets[target_id("a")].digest
    revised = f"a-{digest.removeprefix('sha256:')[:8]}"
    assert set(world.api.repos[REPO].targets) == {"a", revised}
    assert world.lockfile.lock.targets[target_id("a")].live_name == revised
    again = await world.apply(stim_only("a", max_tokens=9, policy={"on_change": "revise"}))
    assert again.plan.converged


@virtual
async def test_users_of_a_revised_template_and_prompt_get_the_revised_names() -> None:
    world = World()
    policy = {"on_change": "revise"}
    await world.apply(
        stim_only("root", policy=policy), stim_only("leaf", template="root", policy=policy)
    )
    ran = await world.apply(
        stim_only("root", max_tokens=9, policy=policy),
        stim_only("leaf", template="root", policy=policy),
    )
    assert ran.code is ExitCode.OK
    lock = world.lockfile.lock.targets
    leaf = world.api.repos[REPO].targets[lock[target_id("leaf")].live_name]
    assert leaf.config["max_tokens"] == 9
    assert lock[target_id("root")].live_name.startswith("root-")
