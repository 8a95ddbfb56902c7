"""``import --repo`` through the command line, against the real service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from cli.project import PROMPTS, Project, target

from reconciler.client import Api
from reconciler.core.errors import AuthenticationError, ExitCode, UnreachableError
from reconciler.workflow.directories import create

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.core.model.observed import Absent, LivePrompt, LiveRepo

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


@pytest.fixture
def two_repos(live: Project) -> Project:
    """Give a project with a second live repo, which comes first by name, of one target."""
    live.write("another.yaml", PROMPTS.replace("coding", "another"))
    live.targets(target("one").replace("repo: coding", "repo: another"))
    assert live.run("apply").code == ExitCode.OK
    return live


def test_without_a_name_every_repo_is_imported(two_repos: Project, tmp_path: Path) -> None:
    copy = at(two_repos, tmp_path / "copy")
    done = copy.run("import")
    assert done.code == ExitCode.OK
    assert (copy.root / "coding/targets.yaml").exists()
    assert (copy.root / "another/targets.yaml").exists()
    plan = copy.run("plan", "--detailed-exitcode", "--format", "json")
    assert plan.code == ExitCode.OK
    assert {action["action"] for action in plan.json["actions"]} == {"adopt"}


def test_where_nothing_is_live_nothing_is_written(project: Project, tmp_path: Path) -> None:
    copy = at(project, tmp_path / "copy")
    done = copy.run("import")
    assert (done.code, done.out) == (ExitCode.OK, "")
    assert done.err == "warning: no repo is live\n0 files written.\n"
    assert not copy.root.exists()


def test_a_repo_that_cannot_be_read_is_told_and_the_others_are_imported(
    two_repos: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = Api.prompt

    async def broken(api: Api, repo: str, name: str) -> LivePrompt | Absent:
        if (repo, name) == ("another", "plain"):
            raise UnreachableError("GET /v1/repo/another/prompts/plain: 500 Oops")
        return await prompt(api, repo, name)

    monkeypatch.setattr(Api, "prompt", broken)
    copy = at(two_repos, tmp_path / "copy")
    done = copy.run("import")
    assert done.code == ExitCode.ERROR
    told = "repo another is left out: GET /v1/repo/another/prompts/plain: 500 Oops"
    assert f"warning: {told}\n" in done.err
    assert {path.name for path in copy.root.iterdir()} == {"coding"}
    named = at(two_repos, tmp_path / "named").run("import", "--repo", "coding", "--repo", "another")
    assert (named.code, named.out) == (ExitCode.ERROR, "")
    assert not (tmp_path / "named").exists()


def test_a_key_that_is_not_accepted_ends_it(
    two_repos: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_: Api, repo: str) -> LiveRepo:
        raise AuthenticationError(f"{repo}: no longer")

    monkeypatch.setattr(Api, "repo", refused)
    done = at(two_repos, tmp_path / "copy").run("import")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "error: another: no longer" in done.err


@pytest.mark.parametrize(
    ("options", "targets"),
    [
        (("--target", "coding/one"), {"coding/one"}),
        (("--target", "*/one"), {"coding/one", "another/one"}),
        (("--target", "*one", "--repo", "another"), {"another/one"}),
        (("--target", "*g/ne*", "--target", "coding/1*"), {"coding/1e3", "coding/never"}),
    ],
)
def test_chosen_targets_come_with_their_prompts_alone(
    two_repos: Project, tmp_path: Path, options: tuple[str, ...], targets: set[str]
) -> None:
    copy = at(two_repos, tmp_path / "copy")
    assert copy.run("import", *options).code == ExitCode.OK
    plan = copy.run("plan", "--detailed-exitcode", "--format", "json")
    assert plan.code == ExitCode.OK
    adopted: dict[str, list[str]] = {kind: [] for kind in ("Repo", "Prompt", "Target")}
    for action in plan.json["actions"]:
        adopted[action["kind"]].append(action["resource"])
    assert {*adopted["Target"]} == targets
    assert {*adopted["Repo"]} == {name.split("/")[0] for name in targets}
    assert ("coding/no" in adopted["Prompt"]) is ("coding/1e3" in targets)


def test_a_target_that_is_not_live_is_wrong_usage(two_repos: Project, tmp_path: Path) -> None:
    done = at(two_repos, tmp_path / "copy").run("import", "--target", "coding/oen")
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert '--target "coding/oen" matches no live target (did you mean "coding/one"?)' in done.err
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("options", [("--repo", "a"), ("--target", "a/b")])
def test_one_thing_is_imported_at_a_time(
    project: Project, tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = project.run("import", "--bgit", str(tmp_path), *options)
    assert done.code == ExitCode.USAGE
    assert "leave out --repo and --target" in done.err


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
