"""Laws of shards: together they are the whole, and no two are about the same thing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from builders import declare, live_repo, planned, recorded, repo, settled, target, target_id
from hypothesis import given
from hypothesis import strategies as st
from strategies import manifests, opened, situations

from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.plan import Verb
from reconciler.core.planning.orphans import find_orphans
from reconciler.core.selection.scope import Scope, narrow
from reconciler.core.selection.shard import Shard, parse

if TYPE_CHECKING:
    from builders import Manifest
    from strategies import Situation

    from reconciler.core.model.desired import Desired

counts = st.integers(1, 5)


def shards(desired: Desired, count: int) -> list[Desired]:
    return [narrow(desired, Scope(shard=Shard(i + 1, count))) for i in range(count)]


def chosen(part: Desired) -> frozenset[ResourceId]:
    return part.ids() - part.drawn_in


@given(manifests(), counts)
def test_all_shards_are_the_whole_and_have_nothing_in_common(
    declared: list[Manifest], count: int
) -> None:
    whole = declare(*declared)
    parts = shards(whole, count)
    assert frozenset().union(*(part.ids() for part in parts)) == whole.ids()
    owners = Counter(id_ for part in parts for id_ in chosen(part))
    assert set(owners.values()) <= {1}
    assert set(whole.targets) <= set(owners)


@given(manifests(), counts)
def test_every_shard_knows_what_the_others_declare(declared: list[Manifest], count: int) -> None:
    whole = declare(*declared)
    for part in shards(whole, count):
        assert part.ids() | part.out_of_scope == whole.ids()


@given(situations(), counts)
def test_shards_do_to_targets_what_a_whole_run_does(situation: Situation, count: int) -> None:
    desired, live = opened(situation)
    lock = recorded(desired, live)
    whole = planned(desired, live, lock).changes
    parts = [
        action
        for part in shards(desired, count)
        for action in planned(part, live, lock).changes
        if action.kind is Kind.TARGET and action.resource not in part.drawn_in
    ]
    assert sorted(map(repr, parts)) == sorted(repr(a) for a in whole if a.kind is Kind.TARGET)


@given(manifests(), manifests(), counts)
def test_every_orphan_is_that_of_one_shard(
    before: list[Manifest], after: list[Manifest], count: int
) -> None:
    earlier, now = declare(*before), declare(*after)
    lock = recorded(earlier, settled(earlier, {}))
    owners = Counter(id_ for part in shards(now, count) for id_ in find_orphans(part, lock))
    assert owners == Counter(find_orphans(now, lock))


@given(st.text(min_size=1), st.text(min_size=1), counts)
def test_a_resource_belongs_to_one_shard_whatever_else_there_is(
    repo_name: str, name: str, count: int
) -> None:
    id_ = ResourceId(Kind.TARGET, repo_name, name)
    assert sum(id_ in Shard(i + 1, count) for i in range(count)) == 1


def test_the_algorithm_is_the_documented_one() -> None:
    # printf coding/one | sha256sum | cut -c1-16, modulo the number of shards, plus one
    owners = [
        next(n for n in (1, 2, 3) if target_id(name) in Shard(n, 3))
        for name in ("one", "two", "three", "four", "five")
    ]
    assert owners == [3, 3, 2, 3, 3]


def test_shards_are_about_equally_large() -> None:
    ids = [target_id(f"t{n}") for n in range(1000)]
    sizes = [sum(id_ in Shard(n, 4) for id_ in ids) for n in (1, 2, 3, 4)]
    assert min(sizes) >= 200
    assert max(sizes) <= 300


def test_an_empty_shard_is_about_nothing() -> None:
    whole = declare(repo(), target())
    parts = shards(whole, 50)
    assert sorted(len(part.targets) for part in parts) == [0] * 49 + [1]
    empty = [part for part in parts if not part.targets]
    assert all(planned(part, {"coding": live_repo()}).converged for part in empty)


def test_only_its_own_orphans_are_pruned_also_by_a_shard_without_targets() -> None:
    loose = {"prevent_destroy": False}
    before = declare(repo(), *(target(f"t{n}", policy=loose) for n in range(6)))
    live = settled(before, {"coding": live_repo()})
    after = declare(repo(), target("t0", policy=loose))
    lock = recorded(before, live)
    deleted = [
        action.resource.name
        for part in shards(after, 4)
        for action in planned(part, live, lock, prune=True).actions
        if action.verb is Verb.DELETE
    ]
    assert sorted(deleted) == [f"t{n}" for n in range(1, 6)]


@pytest.mark.parametrize(
    "text", ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3 ", "01/3", "1/2/3", "a/b", "1/10000", "١/٣"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="like 2/5"):
        parse(text)


def test_a_shard_reads_as_it_is_written() -> None:
    assert str(parse("2/5")) == "2/5"
