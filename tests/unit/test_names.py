from __future__ import annotations

import pytest

from reconciler.core import names


@pytest.mark.parametrize("word", ["a", "9", "a.b_c-d", "Batch", "x" * 128])
def test_good_names(word: str) -> None:
    assert names.is_name(word)


@pytest.mark.parametrize(
    "word", ["", ".a", "-a", "_a", "a/b", "a b", "é", "a\n", "batch", "x" * 129]
)
def test_bad_names(word: str) -> None:
    assert not names.is_name(word)


@pytest.mark.parametrize(
    ("word", "near"),
    [("temprature", "temperature"), ("Temperature", "temperature"), ("zzz", None)],
)
def test_the_nearest_word_is_the_one_that_was_meant(word: str, near: str | None) -> None:
    assert names.nearest(word, ["temperature", "max_tokens", "Model"]) == near


def test_the_nearest_word_keeps_its_own_spelling() -> None:
    assert names.nearest("modell", ["Model"]) == "Model"


def test_the_nearest_word_does_not_depend_on_the_order() -> None:
    assert names.nearest("t0", ["t2", "t1"]) == names.nearest("t0", ["t1", "t2"])


def test_a_suggestion_ends_a_sentence_or_is_nothing() -> None:
    assert names.suggest("exprt", ["expert"]) == ' (did you mean "expert"?)'
    assert names.suggest("exprt", []) == ""


def test_only_so_many_words_are_compared() -> None:
    comparisons = names.Comparisons(most=3)
    assert comparisons.suggest("exprt", ["expert", "plain"]).endswith('"expert"?)')
    assert comparisons.suggest("plian", ["expert", "plain"]).endswith('"plain"?)')
    assert comparisons.is_over
    assert comparisons.suggest("exprt", ["expert", "plain"]) == ""
