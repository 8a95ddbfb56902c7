from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import graph

nodes = st.integers(0, 7)
parents = st.dictionaries(nodes, nodes)


def test_a_parent_comes_first() -> None:
    assert graph.order(["leaf", "middle", "root"], {"leaf": "middle", "middle": "root"}) == [
        "root",
        "middle",
        "leaf",
    ]


def test_what_is_independent_stays_as_given() -> None:
    assert graph.order(["c", "a", "b"], {}) == ["c", "a", "b"]


def test_a_parent_that_is_not_among_the_nodes_is_ignored() -> None:
    assert graph.order(["a"], {"a": "elsewhere"}) == ["a"]


def test_a_cycle_is_told_from_its_smallest_node() -> None:
    assert graph.cycles(["c", "b", "a"], {"a": "c", "b": "a", "c": "b"}) == [["a", "c", "b"]]
    assert graph.cycles(["a"], {"a": "a"}) == [["a"]]


def test_what_leads_to_a_cycle_is_not_on_it() -> None:
    assert graph.cycles(["a", "b", "c"], {"a": "b", "b": "c", "c": "b"}) == [["b", "c"]]


@given(st.permutations(range(8)), parents)
def test_every_node_is_placed_once_and_after_its_parent(
    given_order: list[int], parent: dict[int, int]
) -> None:
    placed = graph.order(given_order, parent)
    assert sorted(placed) == sorted(given_order)
    for node in given_order:
        if node in parent and not leads_to_a_cycle(node, parent):
            assert placed.index(parent[node]) < placed.index(node)


@given(st.permutations(range(8)), parents)
def test_every_cycle_is_found_once(given_order: list[int], parent: dict[int, int]) -> None:
    found = graph.cycles(given_order, parent)
    members = [node for cycle in found for node in cycle]
    assert len(members) == len(set(members))
    assert set(members) == {node for node in parent if returns(node, parent)}
    for cycle in found:
        assert [parent[node] for node in cycle] == [*cycle[1:], cycle[0]]


def path_from(node: int, parent: dict[int, int]) -> list[int]:
    found = [node]
    while found[-1] in parent and len(found) < 20:
        found.append(parent[found[-1]])
    return found


def leads_to_a_cycle(node: int, parent: dict[int, int]) -> bool:
    return len(path_from(node, parent)) == 20


def returns(node: int, parent: dict[int, int]) -> bool:
    return node in path_from(node, parent)[1:]
