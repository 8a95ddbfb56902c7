"""The document of the guarantees names tests that exist, and takes figures without losing prose."""

from __future__ import annotations

import re

import pytest

from .figures import Figures
from .guarantees import BEGIN, DOCUMENT, END, ROOT, rewritten

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(DOCUMENT.read_text())
    assert named
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in _text(file)]
    assert missing == []


def _text(file: str) -> str:
    path = ROOT / file
    return path.read_text() if path.exists() else ""


def test_each_promise_is_shown_by_tests() -> None:
    promises = re.split(r"^### ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]
    assert [promise[:3] for promise in promises] == [f"({letter})" for letter in "abcdef"]
    assert all(NAMED.search(promise) for promise in promises)


def test_figures_replace_figures_and_nothing_else() -> None:
    old = f"before\n{BEGIN}| old |\n{END}after\n"
    new = rewritten(old, {"seeds": "3"})
    table = "| what | how much |\n|---|---|\n| seeds | 3 |\n"
    assert new == f"before\n{BEGIN}{table}{END}after\n"
    assert rewritten(new, {"seeds": "3"}) == new


def test_a_document_without_a_place_for_figures_is_left_alone() -> None:
    with pytest.raises(ValueError, match="no place"):
        rewritten("before\nafter\n", {})


def test_figures_of_several_processes_add_up() -> None:
    one, other = Figures(), Figures()
    for figures, mutant in ((one, "a"), (other, "a"), (other, "b")):
        figures.count("seeds", 2)
        figures.fault("502")
        figures.name("mutants", mutant)
    one.add(other.taken())
    told = one.told()
    assert (told["seeds"], told["mutants caught / mutants"]) == ("6", "0 / 2")
    assert (told["faults injected"], told["– 502"]) == ("3", "3")
    assert other.told()["seeds"] == "0"
