"""The cells of a matrix: what GitHub Actions makes of the same lines, within bounds."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import names
from reconciler.core.declare import sets
from reconciler.core.declare.cells import MOST_CELLS, cells
from reconciler.core.model.manifest import Document, Kind, Severity

Json = dict[str, Any]
FRUIT = {"fruit": ["apple", "pear"], "animal": ["cat", "dog"]}


def read(matrix: Json, **files: list[Json]) -> tuple[list[Any], list[str]]:
    """Return the cells of a matrix, and what is said about it."""
    document = Document("a.yaml", 0, Kind.TARGET_SET, {"matrix": matrix})
    problems: list[Any] = []
    found = cells(document, files, problems)
    return found, [problem.message for problem in problems]


def test_every_combination_is_a_cell_and_the_first_axis_changes_last() -> None:
    found, problems = read({"n": [1, 2.5], "b": [True, "x"]})
    assert problems == []
    assert [tuple(cell.values()) for cell in found] == [
        (1, True),
        (1, "x"),
        (2.5, True),
        (2.5, "x"),
    ]


def test_the_example_of_github_actions() -> None:
    """The one in its documentation of ``include``, with the result that is given there."""
    include = [
        {"color": "green"},
        {"color": "pink", "animal": "cat"},
        {"fruit": "apple", "shape": "circle"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]
    found, problems = read({**FRUIT, "include": include})
    assert problems == []
    assert found == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_an_exclusion_needs_only_match_in_part_and_comes_before_inclusions() -> None:
    matrix = {**FRUIT, "exclude": [{"fruit": "apple"}], "include": [{"fruit": "apple", "n": 1}]}
    found, problems = read(matrix)
    assert problems == []
    assert found == [
        {"fruit": "pear", "animal": "cat"},
        {"fruit": "pear", "animal": "dog"},
        {"fruit": "apple", "n": 1},
    ]


def test_a_matrix_may_consist_of_inclusions() -> None:
    include = [{"a": 1}, {"a": 2, "b": 3}]
    assert read({"include": include}) == (include, [])


def test_a_number_is_not_true_but_one_is_one_point_nought() -> None:
    found, _ = read({"n": [1, True, 2], "exclude": [{"n": 1.0}]})
    assert found == [{"n": True}, {"n": 2}]
    assert found[0]["n"] is True
    found, _ = read({"n": [1, True], "include": [{"n": 1.0, "x": "a"}]})
    assert [(repr(cell["n"]), cell.get("x")) for cell in found] == [("1", "a"), ("True", None)]


def test_files_are_an_axis_like_others_and_keep_their_paths() -> None:
    files = [{"topic": "a", "topic.path": "q/a.txt"}, {"topic": "b", "topic.path": "q/b.txt"}]
    matrix = {"topic": {"files": "q/*"}, "n": [1, 2], "exclude": [{"topic": "a", "n": 1}]}
    found, problems = read({**matrix, "include": [{"topic": "b", "x": 1}]}, topic=files)
    assert problems == []
    assert found == [
        {**files[0], "n": 2},
        {**files[1], "n": 1, "x": 1},
        {**files[1], "n": 2, "x": 1},
    ]


def test_what_excludes_nothing_is_told_and_an_unknown_axis_is_an_error() -> None:
    document = Document(
        "a.yaml", 0, Kind.TARGET_SET, {"matrix": {"a": [1], "exclude": [{"a": 2}, {"aaa": 1}]}}
    )
    problems: list[Any] = []
    assert cells(document, {}, problems) == [{"a": 1}]
    assert [(it.severity, it.path, it.message) for it in problems] == [
        (Severity.WARNING, ("matrix", "exclude", 0), "this excludes nothing"),
        (Severity.ERROR, ("matrix", "exclude", 1, "aaa"), "there is no axis aaa"),
    ]


@pytest.mark.parametrize("matrix", [{"exclude": [{"a": 1}]}, {"a": [1], "exclude": [{"a": 1}]}])
def test_a_matrix_without_cells_is_an_error(matrix: Json) -> None:
    found, problems = read(matrix)
    assert found == []
    assert "this matrix has no cell" in problems


def test_as_many_cells_as_there_may_be() -> None:
    ten = list(range(10))
    whole = {"a": ten, "b": ten, "c": ten, "d": ten}
    assert len(read(whole)[0]) == MOST_CELLS
    for more in ({"e": [1, 2]}, {"include": [{"a": 10}]}):
        found, [problem] = read({**whole, **more})
        assert found == []
        assert problem == "this matrix has more than 10,000 cells; use several sets"


def test_what_would_take_too_long_is_refused() -> None:
    ten = list(range(10))
    whole = {"a": ten, "b": ten, "c": ten, "d": ten, "include": [{"x": n} for n in range(1000)]}
    assert read(whole)[1] == ["include and exclude change too many cells; use several sets"]


VALUES = st.sampled_from([0, 1, True, "a", 0.5])
AXES = st.dictionaries(st.sampled_from("abc"), st.lists(VALUES, min_size=1, max_size=3))


@given(st.data())
def test_rules_mean_what_they_mean_when_every_cell_is_looked_at(data: st.DataObject) -> None:
    axes: Json = data.draw(AXES.filter(bool))
    excluding = st.dictionaries(st.sampled_from([*axes]), VALUES, min_size=1)
    exclude = data.draw(st.lists(excluding, max_size=3))
    include = data.draw(st.lists(st.dictionaries(st.sampled_from("abcde"), VALUES, min_size=1)))
    found, _ = read({**axes, "exclude": exclude, "include": include})
    assert list(map(repr, found)) == list(map(repr, by_looking(axes, exclude, include)))


def by_looking(axes: Json, exclude: list[Json], include: list[Json]) -> list[Json]:
    originals = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    originals = [cell for cell in originals if not any(has(cell, entry) for entry in exclude)]
    extended, new = [dict(cell) for cell in originals], []
    for entry in include:
        own = {name: value for name, value in entry.items() if name in axes}
        more = {name: value for name, value in entry.items() if name not in axes}
        places = [n for n, cell in enumerate(originals) if has(cell, own)]
        for n in places:
            extended[n].update(more)
        if not places:
            new.append(entry)
    return [*extended, *new]


def has(cell: Json, entry: Json) -> bool:
    return all(
        cell[name] == value and isinstance(cell[name], bool) is isinstance(value, bool)
        for name, value in entry.items()
    )


def test_of_very_many_wrong_words_only_the_first_get_a_suggestion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "MOST_COMPARED", 20)
    matrix = {f"axis{n}x": [1] for n in range(10)}
    _, problems = read({**matrix, "exclude": [{f"axs{n}x": 1} for n in range(10)]})
    assert ["did you mean" in it for it in problems] == [True] * 2 + [False] * 8
    text = "".join(f"${{{{ matrix.axs{n}x }}}}" for n in range(10))
    metadata = {"repo": "coding", "name": text}
    value = {"apiVersion": "v", "metadata": metadata, "matrix": matrix, "template": {}}
    found = sets.expand(Document("a.yaml", 0, Kind.TARGET_SET, value), {}).problems
    assert ["did you mean" in it.message for it in found] == [True] * 2 + [False] * 8
