"""``import --repo`` through the command line, against the real service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from cli.project import PROMPTS, Project, target

from reconciler.core.errors import ExitCode
from reconciler.workflow.directories import create

if TYPE_CHECKING:
    from pathlib import Path

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
LONG = "You are an expert.\n\nSay what to do first; then why.\n"


@pytest.fixture
def live(project: Project) -> Project:
    """Give a project whose repo is live: two targets that are complete, one that never ran."""
    prompt = {"messages": [{"role": "system", "content": LONG}], "tools": [TOOL]}
    document = {
        "apiVersion": "reconciler/v1",
        "kind": "Prompt",
        "metadata": {"repo": "coding", "name": "no"},
        "spec": prompt,
    }
    project.write("prompts.yaml", PROMPTS, yaml.safe_dump(document))
    project.targets(
        target("one", questions=9),
        target("1e3", spec={"teacher_prompt": "no", "temperature": 0.5}),
        target("never", desired={"stim": "none"}),
    )
    assert project.run("apply").code == ExitCode.OK
    return project


def at(project: Project, root: Path) -> Project:
    """Return another project that speaks to the same API as the same user."""
    return Project(root, project.capture, project.access, project.environment)


def test_a_plan_for_what_was_imported_is_empty(live: Project, tmp_path: Path) -> None:
    copy = at(live, tmp_path / "copy")
    done = copy.run("import", "--repo", "coding")
    assert (done.code, done.err.splitlines()[-1]) == (ExitCode.OK, "6 files written.")
    folder = copy.root / "coding"
    assert sorted(done.out.splitlines()) == sorted(
        str(path) for path in folder.rglob("*") if path.is_file()
    )
    assert (folder / "prompts/no.md").read_text() == LONG + "\n"
    assert len((folder / "questions/one.txt").read_text().splitlines()) == 9
    plan = copy.run("plan", "--detailed-exitcode", "--format", "json")
    assert plan.code == ExitCode.OK
    assert {action["action"] for action in plan.json["actions"]} == {"adopt"}
    assert copy.run("refresh").code == ExitCode.OK
    assert copy.lock["targets"].keys() == {"coding/one", "coding/1e3", "coding/never"}
    stages = live.lock["targets"]["coding/one"]
    assert copy.lock["targets"]["coding/one"]["rollout"] == stages["rollout"]


def test_what_is_wanted_is_what_is_there(live: Project, tmp_path: Path) -> None:
    copy = at(live, tmp_path / "copy")
    assert copy.run("import", "--repo", "coding").code == ExitCode.OK
    text = (copy.root / "coding/targets.yaml").read_text()
    wanted = {doc["metadata"]["name"]: doc for doc in yaml.safe_load_all(text)}
    assert wanted["one"]["desired"] == {"stim": {"min_lines": 9}, "rollout": {"min_lines": 27}}
    assert wanted["never"]["desired"] == {"stim": "none"}
    assert "# stim was not_started" in text
    assert wanted["1e3"]["spec"] == {
        "teacher_prompt": "no",
        "student_prompt": "plain",
        "generators": [{"type": "hardcoded", "questions": [f"Question {n}?" for n in range(4)]}],
        "num_traj_per_stimulus": 3,
        "temperature": 0.5,
        "max_tokens": 40,
    }


def test_no_file_is_written_over(live: Project, tmp_path: Path) -> None:
    there = tmp_path / "copy/coding/targets.yaml"
    there.parent.mkdir(parents=True)
    there.write_text(
        "# nothing yet\n---\n" + yaml.safe_dump(yaml.safe_load(PROMPTS.split("---")[0]))
    )
    before = there.read_bytes()
    done = at(live, tmp_path / "copy").run("import", "--repo", "coding")
    assert (done.code, done.out) == (ExitCode.BLOCKED, "")
    assert f"not written over: {there}" in done.err
    assert "saved-and-offline-plans" not in done.err, "that page says nothing of it"
    assert [path for path in tmp_path.joinpath("copy").rglob("*") if path.is_file()] == [there]
    assert there.read_bytes() == before


@pytest.mark.parametrize("inside", ["", "prompts"])
def test_nothing_is_written_through_a_link(live: Project, tmp_path: Path, inside: str) -> None:
    link, elsewhere = tmp_path / "copy/coding" / inside, tmp_path / "elsewhere"
    link.parent.mkdir(parents=True)
    elsewhere.mkdir()
    link.symlink_to(elsewhere)
    done = at(live, tmp_path / "copy").run("import", "--repo", "coding")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert f"error: {link} is a link, and nothing is written behind links" in done.err
    assert "Nothing was written. Put a directory in its place, or say --out DIR" in done.err
    assert not list(elsewhere.iterdir())
    assert not [path for path in tmp_path.joinpath("copy").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ("coding", "coding is no directory"),
        ("coding/prompts", "coding/prompts is no directory"),
        ("coding/questions", "coding/questions is no directory"),
        ("coding/targets.yaml/x", "not written over"),
    ],
)
def test_what_stands_in_the_way_is_told_before_anything_is_written(
    live: Project, tmp_path: Path, there: str, told: str
) -> None:
    path = tmp_path / "copy" / there
    path.parent.mkdir(parents=True)
    path.touch()
    done = at(live, tmp_path / "copy").run("import", "--repo", "coding")
    assert (done.code in {ExitCode.ERROR, ExitCode.BLOCKED}, done.out) == (True, "")
    assert told in done.err
    assert "Nothing was written" in done.err
    assert [path for path in tmp_path.joinpath("copy").rglob("*") if path.is_file()] == [path]


def test_where_writing_fails_halfway_nothing_is_left(
    live: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(base: Path, file: str, text: str) -> None:
        if file.endswith(".txt"):
            raise OSError(28, "No space left on device", str(base / file))
        create(base, file, text)

    copy = at(live, tmp_path / "copy")
    with monkeypatch.context() as patch:
        patch.setattr("reconciler.workflow.importing.verbs.create", full)
        done = copy.run("import", "--repo", "coding")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "one.txt: No space left on device" in done.err
    assert not [path for path in copy.root.rglob("*") if path.is_file()]
    assert copy.run("import", "--repo", "coding").code == ExitCode.OK


def test_what_is_not_read_as_a_manifest_is_told(live: Project, tmp_path: Path) -> None:
    copy = at(live, tmp_path / "copy")
    copy.write(".reconcilerignore", "targets.yaml\n")
    done = copy.run("import", "--repo", "coding", "--format", "json")
    ignored = copy.root / "coding/targets.yaml"
    (note,) = (note for note in done.json["notes"] if "ignore" in note)
    assert (
        note == f"{ignored} is not read as a manifest: {copy.root / '.reconcilerignore'} lists it"
    )
    copy.write(".reconcilerignore", "[\n!")
    assert copy.run("import", "--repo", "coding").code == ExitCode.INVALID


def test_what_is_declared_already_is_left_out(live: Project, tmp_path: Path) -> None:
    copy = at(live, tmp_path / "copy")
    assert copy.run("import", "--repo", "coding").code == ExitCode.OK
    again = copy.run("import", "--repo", "coding", "--format", "json")
    assert again.code == ExitCode.OK
    assert again.json["written"] == []
    assert "target coding/1e3 is left out: declared already" in again.json["notes"]


def test_a_repo_that_is_not_live_is_named_with_the_nearest(live: Project, tmp_path: Path) -> None:
    done = at(live, tmp_path / "copy").run("import", "--repo", "codign")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert 'no repo "codign" is live (did you mean "coding"?)' in done.err
    assert "There are: coding." in done.err
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("options", [(), ("--repo", "a", "--bgit", "b")])
def test_one_thing_is_imported_at_a_time(project: Project, options: tuple[str, ...]) -> None:
    assert project.run("import", *options).code == ExitCode.USAGE


def test_nothing_local_is_looked_for_where_nothing_is(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere = at(project, tmp_path / "nowhere")
    done = nowhere.run("import", "--repo", "coding", access=("--local",))
    assert done.code == ExitCode.USAGE
    assert not (tmp_path / ".reconciler").exists()


def test_out_says_where_else(live: Project, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere"
    assert live.run("import", "--repo", "coding", "--out", str(out)).code == ExitCode.OK
    assert (out / "coding/targets.yaml").exists()
    assert not (live.root / "coding").exists()
