"""What makes manifests be read again between two looks, and what does not."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from cli.project import PROMPTS, target

from reconciler.core.selection.scope import EVERYTHING
from reconciler.manifests import snapshot
from reconciler.workflow import looking
from reconciler.workflow.access import Access
from reconciler.workflow.loading import load
from reconciler.workflow.looking import Looking, seen
from reconciler.workflow.place import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.core.model.desired import Desired

SET = """
apiVersion: reconciler/v1
kind: TargetSet
metadata: {repo: coding, name: "s-${{ matrix.topic }}"}
matrix: {topic: {files: "topics/*.txt"}}
template:
  spec:
    teacher_prompt: expert
    student_prompt: plain
    generators: [{type: hardcoded, questions_file: "${{ matrix.topic.path }}"}]
"""
NAMED = {"generators": [{"type": "hardcoded", "questions_file": "questions.txt"}]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give one manifest among other files: what it names, and what it knows nothing of."""
    (tmp_path / "topics").mkdir()
    for name in ("questions.txt", "topics/a.txt", "neighbour.yaml"):
        (tmp_path / name).write_text("Why?\n")
    (tmp_path / "one.yaml").write_text(
        "---\n".join([PROMPTS, target("one", spec=NAMED), SET.strip() + "\n"])
    )
    return tmp_path / "one.yaml"


class Looks:
    """Looks one after the other, without an API: how many there were, and what they went by."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        monkeypatch.setattr(looking, "statuses", self._statuses)
        where = place(path)
        before = seen(where)
        desired = load(where).desired
        self._looks = Looking(where, EVERYTHING, Access(), desired, before).looks()
        self.next()

    def _statuses(self, _: object, desired: Desired, *__: object, **___: object) -> Iterator[Any]:
        self.begun += 1
        for _ in count():
            yield desired

    def next(self) -> tuple[dict[str, int | None], str]:
        """Look again; return the questions of each target, and what is wrong with the manifests."""
        look = next(self._looks)
        desired: Any = look.status
        return {t.name: t.stim.reach for t in desired.targets.values()}, look.trouble


def as_yaml(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))


CHANGES: dict[str, tuple[Callable[[Path], object], dict[str, int]]] = {
    "itself": (lambda it: as_yaml(it, "name: one", "name: two"), {"two": 1, "s-a": 1}),
    "a file that it names": (
        lambda it: (it.parent / "questions.txt").write_text("Why?\nHow?\n"),
        {"one": 2, "s-a": 1},
    ),
    "a file that its pattern finds": (
        lambda it: (it.parent / "topics/b.txt").write_text("When?\n"),
        {"one": 1, "s-a": 1, "s-b": 1},
    ),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("most", [100_000, 0], ids=["few around", "too many around"])
def test_a_single_file_is_read_again_when_it_or_what_it_refers_to_changes(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    expected: dict[str, int],
    most: int,
) -> None:
    monkeypatch.setattr(snapshot, "_MOST", most)
    looks = Looks(file, monkeypatch)
    change(file)
    assert looks.next() == (expected, "")


def test_what_lies_around_a_single_file_is_none_of_its_business(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(file, monkeypatch)
    (file.parent / "neighbour.yaml").write_text("changed")
    (file.parent / "new.yaml").touch()
    assert looks.next() == ({"one": 1, "s-a": 1}, "")
    assert looks.begun == 1, "nothing began anew"

    def walk(*_: object) -> None:
        raise AssertionError("somebody looked around")

    monkeypatch.setattr(os, "walk", walk)
    assert looks.next() == looks.next()


def test_a_single_file_that_is_invalid_is_used_again_once_what_it_names_is_there(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(file, monkeypatch)
    as_yaml(file, "questions.txt", "others.txt")
    before, trouble = looks.next()
    assert before == {"one": 1, "s-a": 1}
    assert "others.txt" in trouble
    assert looks.next() == (before, trouble)
    (file.parent / "others.txt").write_text("A?\nB?\nC?\n")
    assert looks.next() == ({"one": 3, "s-a": 1}, "")


def test_of_a_directory_whatever_appears_counts(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "neighbour.yaml").unlink()
    looks = Looks(file.parent, monkeypatch)
    assert looks.next() == looks.next()
    assert looks.begun == 1
    (file.parent / "more.yaml").write_text(target("two"))
    assert looks.next() == ({"one": 1, "s-a": 1, "two": 4}, "")
