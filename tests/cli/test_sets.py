"""Sets of targets through the command line: shown, selected, run and recorded like any others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.core.errors import ExitCode

from .project import target

if TYPE_CHECKING:
    from .project import Project

SET = """\
apiVersion: reconciler/v1
kind: TargetSet
metadata:
  repo: coding
  name: ${{ matrix.topic }}-${{ matrix.trajectories }}
matrix:
  topic: {files: questions/*.txt}
  trajectories: [1, 2]
template:
  labels: {topic: "${{ matrix.topic }}"}
  spec:
    teacher_prompt: expert
    student_prompt: plain
    generators:
      - {type: hardcoded, questions_file: "${{ matrix.topic.path }}"}
    num_traj_per_stimulus: ${{ matrix.trajectories }}
    max_tokens: 20
"""


def by_hand(topic: str, trajectories: int) -> str:
    generator = {"type": "hardcoded", "questions_file": f"questions/{topic}.txt"}
    spec = {"generators": [generator], "max_tokens": 20}
    return target(f"{topic}-{trajectories}", trajectories=trajectories, spec=spec)


@pytest.fixture
def sets(project: Project) -> Project:
    project.write("questions/a.txt", "One?\nTwo?\n")
    project.write("questions/b.txt", "Three?\n")
    project.targets(SET)
    return project


def test_a_set_is_applied_and_recorded_as_its_targets_are(sets: Project) -> None:
    assert sets.run("apply").code == ExitCode.OK
    recorded = sets.lockfile.read_bytes()
    assert sorted(sets.lock["targets"]) == [f"coding/{t}-{n}" for t in "ab" for n in (1, 2)]
    assert sets.lock["targets"]["coding/a-2"]["rollout"]["lines"] == 4
    sets.targets(*(by_hand(topic, n) for topic in "ab" for n in (1, 2)))
    done = sets.run("plan", "--detailed-exitcode")
    assert (done.code, done.out) == (0, "Nothing to do: live state satisfies every manifest.\n")
    assert sets.run("refresh").code == ExitCode.OK
    assert sets.lockfile.read_bytes() == recorded


def test_targets_of_a_set_are_shown_and_selected_like_others(sets: Project) -> None:
    def planned(*options: str) -> list[str]:
        actions = sets.run("plan", "--format", "json", *options).json["actions"]
        return sorted({it["resource"] for it in actions if it["kind"] == "Target"})

    assert planned() == [f"coding/{t}-{n}" for t in "ab" for n in (1, 2)]
    assert planned("-l", "topic=a") == ["coding/a-1", "coding/a-2"]
    assert planned("--target", "coding/*-2") == ["coding/a-2", "coding/b-2"]
    assert planned("--exclude", "coding/a-*", "-l", "topic=b") == ["coding/b-1", "coding/b-2"]


def test_a_file_less_is_a_target_less(sets: Project) -> None:
    assert sets.run("apply").code == ExitCode.OK
    (sets.root / "questions/b.txt").unlink()
    assert sets.run("plan", "--format", "json").json["orphans"] == [
        {"kind": "Target", "resource": "coding/b-1"},
        {"kind": "Target", "resource": "coding/b-2"},
    ]


def test_it_is_told_what_comes_from_sets(sets: Project) -> None:
    sets.write("more.yaml", target("single"), SET.replace("name: ", "name: x-"))
    assert sets.run("validate").out == (
        "Valid: 1 repo, 2 prompts, 9 targets, of them 8 from 2 sets.\n"
    )
    assert sets.run("validate", "-l", "topic=a").out == (
        "Valid: 1 repo, 2 prompts, 4 targets, of them 4 from 2 sets.\n"
    )
    name = "x-${{ matrix.topic }}-${{ matrix.trajectories }}"
    told = sets.run("validate", "-v").err.splitlines()
    assert told[1:4] == [
        f"Set {name} in {sets.root}/more.yaml: 4 targets.",
        "  coding/x-a-1 [topic=questions/a.txt, trajectories=1]",
        "  coding/x-a-2 [topic=questions/a.txt, trajectories=2]",
    ]
    assert len(told) == 1 + 5 + 5


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_what_is_wrong_with_many_cells_is_told_once(form: str, sets: Project) -> None:
    values = ", ".join(map(str, range(250)))
    sets.targets(SET.replace("[1, 2]", f"[{values}]").replace("expert", "exprt"))
    found = sets.run("validate", "--format", form)
    assert found.code == ExitCode.INVALID
    told = found.out + found.err
    assert told.count("exprt") == 1
    assert told.count("and in 497 more cells") == 1
    assert "[topic=questions/a.txt, trajectories=1]" in told
