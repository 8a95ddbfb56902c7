"""Deletions: a template goes after all that uses it, and stays while any of that is still there."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import virtual

from reconciler.core.errors import ApiError, ExitCode
from reconciler.core.model.events import EventKind
from reconciler.core.planning import compute_plan
from reconciler.core.planning.destruction import compute_destruction

from .support import API_URL, World, declare, prompt, stim_only, target_id

if TYPE_CHECKING:
    from reconciler.core.model.manifest import Document

    from .support import Ran

LOOSE: dict[str, Any] = {"prevent_destroy": False}
FREELY: dict[str, Any] = {"prevent_destroy": False, "on_change": "replace"}
SLOW = 5.0
BROKEN = ApiError("500: the disk is full")


def unused(name: str, *, template: str = "default", **more: Any) -> Document:
    """Declare a target of which nothing is made."""
    wanted = {"state": "none"}
    return stim_only(name, template=template, stim=wanted, **{"policy": LOOSE, **more})


FAMILY = [unused("a"), unused("m", template="a"), unused("b", template="m")]


async def destroy(world: World, *documents: Document, **options: Any) -> Ran:
    """Observe, plan and carry out, as ``destroy`` does."""
    desired, observed, lock, _ = await world.plan(declare(*documents))
    found = compute_destruction(desired, observed, lock, api_url=API_URL)
    return await world.carry_out(desired, observed, lock, found, **options)


def sent(world: World) -> list[str]:
    return [call.of[1] for call in world.api.asked("delete_target")]


@virtual
async def test_what_uses_a_template_is_gone_before_the_template_is_deleted() -> None:
    world = World()
    await world.apply(*FAMILY)
    world.api.held["delete_target"] = SLOW
    ran = await destroy(world, *FAMILY)
    assert ran.codes() == dict.fromkeys("abm", ExitCode.OK)
    assert sent(world) == ["b", "m", "a"]
    times = world.api.times("delete_target")
    assert all(later - earlier >= SLOW for earlier, later in pairwise(times))
    assert not world.lockfile.lock.targets


@virtual
async def test_what_does_not_depend_on_each_other_is_deleted_at_once() -> None:
    world = World()
    users = [unused(f"u{n}", template="a") for n in range(50)]
    documents = [unused("a"), *users, *(unused(f"x{n}") for n in range(50))]
    await world.apply(*documents)
    world.api.held["delete_target"] = SLOW
    ran = await destroy(world, *documents)
    assert set(ran.codes().values()) == {ExitCode.OK}
    assert ran.seconds < 3 * SLOW
    assert sent(world)[-1] == "a"


@virtual
async def test_a_template_stays_if_what_uses_it_could_not_be_deleted() -> None:
    world = World()
    await world.apply(*FAMILY, unused("x"))
    world.api.fail("delete_target", BROKEN, "m")
    ran = await destroy(world, *FAMILY, unused("x"))
    assert ran.codes() == {
        "a": ExitCode.ERROR,
        "b": ExitCode.OK,
        "m": ExitCode.ERROR,
        "x": ExitCode.OK,
    }
    assert "m" in ran.message("a")
    assert "not deleted" in ran.message("a")
    assert [event.message for event in ran.told(EventKind.ERROR, "a")] == [ran.message("a")]
    assert "a" not in sent(world)
    assert world.lockfile.lock.targets.keys() == {target_id("a"), target_id("m")}


@virtual
async def test_a_failure_at_the_leaf_keeps_the_whole_chain() -> None:
    world = World()
    await world.apply(*FAMILY)
    world.api.fail("delete_target", BROKEN, "b")
    ran = await destroy(world, *FAMILY)
    assert ran.codes() == dict.fromkeys("abm", ExitCode.ERROR)
    assert sent(world) == ["b"]


@virtual
async def test_a_protected_user_keeps_no_template_that_may_go() -> None:
    world = World()
    documents = [unused("a"), unused("m", template="a", policy={})]
    await world.apply(*documents)
    ran = await destroy(world, *documents)
    assert ran.codes() == {"a": ExitCode.OK, "m": ExitCode.BLOCKED}


@virtual
async def test_what_needs_a_protected_template_may_go() -> None:
    world = World()
    documents = [unused("a", policy={}), unused("m", template="a")]
    await world.apply(*documents)
    ran = await destroy(world, *documents)
    assert ran.codes() == {"a": ExitCode.BLOCKED, "m": ExitCode.OK}


def family(**more: Any) -> list[Document]:
    return [
        unused("a", policy=FREELY, **more),
        unused("m", template="a", policy=FREELY),
        unused("b", template="m", policy=FREELY),
    ]


@virtual
async def test_replacements_are_deleted_users_first_and_created_templates_first() -> None:
    world = World()
    await world.apply(*family())
    world.api.held["delete_target"] = SLOW
    world.api.journal.clear()
    ran = await world.apply(*family(max_tokens=9))
    assert ran.codes() == dict.fromkeys("abm", ExitCode.OK)
    writes = [note for note in world.api.journal if not note.startswith("lock")]
    assert writes == [
        "delete_target r/b",
        "delete_target r/m",
        "delete_target r/a",
        "create_targets r/a/m/b",
    ]


@virtual
async def test_a_template_is_not_replaced_if_what_uses_it_could_not_be_deleted() -> None:
    world = World()
    await world.apply(*family())
    world.api.fail("delete_target", BROKEN, "m")
    ran = await world.apply(*family(max_tokens=9))
    assert sent(world) == ["b", "m"]
    assert ran.codes() == dict.fromkeys("abm", ExitCode.ERROR)
    assert "a" in world.api.repos["r"].targets


@pytest.mark.parametrize("failing", ["a", "m"])
@virtual
async def test_nothing_of_a_family_is_lost_where_a_part_cannot_be_made_again(failing: str) -> None:
    world = World()
    await world.apply(*family(), unused("u", template="a", policy=FREELY))
    world.api.fail("create_prompt", ApiError("422: too long"), "q")
    changed = [
        unused("a", policy=FREELY, max_tokens=9, **({"teacher": "q"} if failing == "a" else {})),
        unused("m", template="a", policy=FREELY, **({"teacher": "q"} if failing == "m" else {})),
        unused("b", template="m", policy=FREELY),
        unused("u", template="a", policy=FREELY),
    ]
    ran = await world.apply(prompt("q"), *changed)
    assert ran.codes() == dict.fromkeys("abmu", ExitCode.ERROR)
    assert not sent(world)


@virtual
async def test_orphans_are_deleted_at_once_since_nobody_knows_their_templates() -> None:
    world = World()
    await world.apply(*FAMILY, unused("x"))
    desired, observed, lock, _ = await world.plan(declare(unused("x")))
    found = compute_plan(desired, observed, lock, api_url=API_URL, prune=True)
    world.api.held["delete_target"] = SLOW
    ran = await world.carry_out(desired, observed, lock, found)
    assert ran.codes() == dict.fromkeys("abmx", ExitCode.OK)
    assert ran.seconds < 2 * SLOW


@given(
    st.lists(st.integers(-1, 11), min_size=1, max_size=12),
    st.sets(st.integers(0, 11), max_size=3),
    st.integers(1, 4),
)
def test_no_template_goes_before_what_uses_it(
    parents: list[int], broken: set[int], parallelism: int
) -> None:
    """Whatever the templates, whatever fails: each is as its plan says, or still complete."""
    templates = {f"t{n}": f"t{p % n}" for n, p in enumerate(parents) if p >= 0 and n}
    names = [f"t{n}" for n in range(len(parents))]
    documents = [unused(name, template=templates.get(name, "default")) for name in names]

    @virtual
    async def law() -> None:
        world = World()
        await world.apply(*documents)
        for number in broken:
            world.api.fail("delete_target", BROKEN, f"t{number}")
        ran = await destroy(world, *documents, parallelism=parallelism)
        left = set(world.api.repos["r"].targets)
        assert all(templates[name] in left for name in left if name in templates)
        assert {name for name, code in ran.codes().items() if code is not ExitCode.OK} == left
        order = sent(world)
        for user, template in templates.items():
            if template in order:
                assert order.index(user) < order.index(template)

    law()
