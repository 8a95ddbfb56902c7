"""Dependency order over names: a stable topological sort, and the cycles that prevent one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Node = TypeVar("Node")


def order(nodes: Iterable[Node], parent: Mapping[Node, Node]) -> list[Node]:
    """Return the nodes so that each comes after its parent, otherwise as given.

    A node has at most one parent (a target has one template). Nodes on a cycle come last, in the
    order given; ask ``cycles`` about them.
    """
    given = list(nodes)
    known = set(given)
    placed: dict[Node, None] = {}
    for node in given:
        chain: dict[Node, None] = {}
        current: Node | None = node
        while current in known and current not in placed and current not in chain:
            chain[current] = None
            current = parent.get(current)
        if current in placed or current not in known:
            placed.update(dict.fromkeys(reversed(chain)))
    return [*placed, *(node for node in given if node not in placed)]


def cycles(nodes: Iterable[Node], parent: Mapping[Node, Node]) -> list[list[Node]]:
    """Return every cycle once, each starting at its smallest node and following the parents."""
    done: set[Node] = set()
    found: list[list[Node]] = []
    for start in nodes:
        path: dict[Node, None] = {}
        current: Node | None = start
        while current is not None and current not in done and current not in path:
            path[current] = None
            current = parent.get(current)
        if current is not None and current in path:
            found.append(_from_smallest(list(path)[list(path).index(current) :]))
        done.update(path)
    return found


def _from_smallest(cycle: list[Node]) -> list[Node]:
    smallest = min(range(len(cycle)), key=lambda i: str(cycle[i]))
    return [*cycle[smallest:], *cycle[:smallest]]
