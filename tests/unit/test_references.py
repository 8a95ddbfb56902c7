"""References: which names are taken for misspelt ones offline, and where that is told."""

from __future__ import annotations

import pytest
from builders import SPEC, messages, prompt, prompt_id, read, repo, target

from reconciler.core import names
from reconciler.core.declare import build
from reconciler.core.declare.references import is_misspelt
from reconciler.core.model.manifest import Document, Kind


@pytest.mark.parametrize("name", ["exprt", "experts", "Expert", "xpert", "epxert"])
def test_a_name_that_looks_like_a_declared_one_is_misspelt(name: str) -> None:
    assert is_misspelt(name, ["expert", "plain"])


@pytest.mark.parametrize(
    "name",
    ["expert", "expert-v2", "expert_2", "expert.old", "expert2", "expert-3f2a91bc", "teacher"],
)
def test_a_name_with_a_suffix_of_its_own_was_meant(name: str) -> None:
    assert not is_misspelt(name, ["expert", "plain"])


def test_variants_of_each_other_are_all_meant() -> None:
    assert not is_misspelt("expert-v3", ["expert-v1", "expert-v2"])


def test_among_variants_a_misspelling_is_still_one() -> None:
    assert is_misspelt("exprt-v2", ["expert-v1", "expert-v2"])


@pytest.mark.parametrize("field", ["teacher_prompt", "student_prompt"])
def test_a_misspelt_prompt_is_told_with_the_nearest_name(field: str) -> None:
    _, [problem] = read([prompt(), target(spec={**SPEC, field: "exprt"})])
    assert problem.message == 'no prompt "exprt" is declared (did you mean "expert"?)'
    assert problem.path == ("spec", field)


def test_a_misspelt_prompt_is_told_under_the_name_that_was_written() -> None:
    _, problems = read([prompt(), target(spec={"u": "exprt", "generators": SPEC["generators"]})])
    assert [problem.path for problem in problems] == [("spec", "u")] * 2


def test_a_misspelt_template_is_told_with_the_nearest_name() -> None:
    _, [problem] = read([target("base"), target(spec={"template": "bsae"})])
    assert problem.message == 'no target "bsae" is declared (did you mean "base"?)'
    assert problem.path == ("spec", "template")


def test_the_default_template_can_be_misspelt_too() -> None:
    [text] = messages([target(template="defualt")])
    assert text == 'no target "defualt" is declared (did you mean "default"?)'


def test_a_prompt_that_is_only_live_is_left_to_the_plan() -> None:
    assert messages([prompt("plain"), target()]) == []


def test_a_prompt_of_another_repo_is_no_help() -> None:
    assert messages([prompt("exprt", repo="docs"), target()]) == []


def test_an_empty_student_prompt_refers_to_nothing() -> None:
    assert messages([prompt(), target(student_prompt="")]) == []


def test_a_misspelt_repo_is_told_with_the_nearest_name() -> None:
    _, [problem] = read([repo(), prompt(repo="codng")])
    assert problem.message == 'repo "codng" is not declared (did you mean "coding"?)'
    assert problem.path == ("metadata", "repo")


def test_a_project_without_repos_works_in_live_ones() -> None:
    assert messages([prompt(), target()]) == []


def test_what_is_declared_in_a_broken_document_counts_as_declared() -> None:
    value = target(teacher_prompt="expert")
    documents = [
        Document(f"{number}.yaml", 0, Kind(each["kind"]), each)
        for number, each in enumerate([prompt("experts"), value])
    ]
    assert build(documents)[1]
    assert not build(documents, also_declared=frozenset({prompt_id("expert")}))[1]


def test_among_very_many_unknown_names_the_first_that_are_misspelt_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "MOST_COMPARED", 50)
    manifests = [prompt(f"expert{n}x") for n in range(10)]
    manifests += [target(f"t{n}", teacher_prompt=f"exprt{n}x") for n in range(10)]
    _, problems = read(manifests)
    found = [problem.message.partition(" is ")[0] for problem in problems]
    assert found == [f'no prompt "exprt{n}x"' for n in range(5)]


def test_among_very_many_unknown_repos_only_the_first_get_a_suggestion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "MOST_COMPARED", 30)
    manifests = [repo(f"repo{n}x") for n in range(10)]
    manifests += [prompt(repo=f"rpo{n}x") for n in range(10)]
    _, problems = read(manifests)
    assert len(problems) == 10
    assert [n for n, it in enumerate(problems) if "did you mean" in it.message] == [0, 1, 2]
