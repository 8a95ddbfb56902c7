"""Plans that are saved for review, and then applied exactly or refused."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from reconciler.core.errors import ExitCode

from .project import PROMPTS, Project, target
from .test_apply import watched_methods

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .project import Ended

ONE, TWO = target("one"), target("two", questions=2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plan.json"


def saved(project: Project, file: Path, *options: str) -> Ended:
    ended = project.run("plan", "--out", str(file), *options)
    assert ended.code == ExitCode.OK
    return ended


def apply(project: Project, file: Path, *options: str) -> Ended:
    return project.run("apply", "--plan", str(file), *options)


def test_what_was_saved_is_what_plan_prints(project: Project, file: Path) -> None:
    printed = saved(project, file, "--format", "json")
    assert json.loads(file.read_text()) == printed.json
    assert "5 to create" in saved(project, file).out


def test_a_saved_plan_is_applied_and_then_out_of_date(project: Project, file: Path) -> None:
    saved(project, file)
    assert not project.lockfile.exists()
    assert apply(project, file).code == ExitCode.OK
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK
    again = apply(project, file)
    assert again.code == ExitCode.BLOCKED
    assert "no longer: create target coding/one" in again.err


def test_a_plan_with_nothing_to_do_stays_good(project: Project, file: Path) -> None:
    project.run("apply")
    before = project.lockfile.read_bytes()
    saved(project, file)
    assert [apply(project, file).code for _ in range(2)] == [ExitCode.OK, ExitCode.OK]
    assert project.lockfile.read_bytes() == before


def by_prompt(project: Project) -> None:
    project.write("prompts.yaml", PROMPTS.replace("in packaging", "in testing"))


def by_prompt_file(project: Project) -> None:
    (project.root / "expert.md").write_text("Be brief.\n")


def by_field(project: Project) -> None:
    project.targets(target("one", spec={"temperature": 0.5}), TWO)


def by_policy(project: Project) -> None:
    project.targets(target("one", policy={"on_shortfall": "accept"}), TWO)


def by_min_lines(project: Project) -> None:
    project.targets(target("one", desired={"stim": {"min_lines": 4}}), TWO)


def by_one_more(project: Project) -> None:
    project.targets(ONE, TWO, target("three"))


def by_one_less(project: Project) -> None:
    project.targets(ONE)


def by_live_state(project: Project) -> None:
    assert project.run("apply", "--target", "coding/two").code == ExitCode.OK


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (by_prompt, "manifests have changed"),
        (by_prompt_file, "manifests have changed"),
        (by_field, "manifests have changed"),
        (by_policy, "manifests have changed"),
        (by_min_lines, "now different: run target coding/one stim"),
        (by_one_more, "now also: create target coding/three"),
        (by_one_less, "no longer: create target coding/two"),
        (by_live_state, "no longer: create target coding/two"),
    ],
)
def test_whatever_has_changed_since_the_plan_is_refused(
    project: Project,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Project], None],
    words: str,
) -> None:
    (project.root / "expert.md").write_text("Be exact.\n")
    project.write("more.yaml", PROMPT_WITH_FILE)
    saved(project, file)
    change(project)
    before = project.lockfile.read_bytes() if project.lockfile.exists() else None
    methods = watched_methods(monkeypatch)
    refused = apply(project, file, "--format", "json")
    assert refused.code == ExitCode.BLOCKED
    assert "out of date" in refused.err
    assert words in refused.err
    assert set(methods) == {"GET"}
    assert (project.lockfile.read_bytes() if project.lockfile.exists() else None) == before


PROMPT_WITH_FILE = """\
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: coding, name: long}
spec: {messages: [{role: system, content_file: expert.md}]}
"""


def test_layout_and_comments_of_manifests_are_no_change(project: Project, file: Path) -> None:
    saved(project, file)
    (project.root / "targets.yaml").unlink()
    project.write("a/second.yaml", "# moved\n" + TWO)
    project.write("z/first.yml", ONE)
    assert apply(project, file).code == ExitCode.OK


def test_a_job_that_gets_further_is_no_change(slow_project: Project, file: Path) -> None:
    slow_project.run("apply", "--timeout", "1s")
    saved(slow_project, file)
    before = slow_project.run("status", "--format", "json").json["targets"][0]["rollout"]
    ended = apply(slow_project, file, "--timeout", "1s", "--format", "json")
    assert ended.code == ExitCode.PENDING
    after = slow_project.run("status", "--format", "json").json["targets"][0]["rollout"]
    assert before["status"] == after["status"] == "running"
    assert before["lines"] < after["lines"]


def test_the_scope_travels_with_the_plan(project: Project, file: Path) -> None:
    saved(project, file, "--target", "coding/o*", "--exclude", "*/two")
    assert apply(project, file).code == ExitCode.OK
    assert set(project.lock["targets"]) == {"coding/one"}


def test_pruning_travels_with_the_plan_but_its_permission_does_not(
    project: Project, file: Path
) -> None:
    project.targets(ONE, target("two", policy={"prevent_destroy": False}))
    project.run("apply")
    project.targets(ONE)
    saved(project, file, "--prune")
    assert apply(project, file).code == ExitCode.BLOCKED
    assert "coding/two" in project.lock["targets"]
    assert apply(project, file, "--allow-destroy").code == ExitCode.OK
    assert set(project.lock["targets"]) == {"coding/one"}


@pytest.mark.parametrize(
    "options", [["--target", "coding/one"], ["-l", "a=b"], ["--exclude", "*/two"], ["--prune"]]
)
def test_a_saved_plan_has_its_own_scope(project: Project, file: Path, options: list[str]) -> None:
    saved(project, file)
    ended = apply(project, file, *options)
    assert ended.code == ExitCode.USAGE
    assert not project.lockfile.exists()


def test_a_limit_that_was_kept_when_the_plan_was_made_needs_no_repetition(
    project: Project, file: Path
) -> None:
    saved(project, file, "--max-trajectories", "18")
    assert apply(project, file).code == ExitCode.OK


def test_a_plan_for_another_api_is_refused_with_the_reason(
    project: Project, file: Path, tmp_path: Path
) -> None:
    saved(project, file)
    elsewhere = str(tmp_path / "other.lock")
    refused = project.run(
        "apply", "--plan", str(file), "--lockfile", elsewhere, access=("--local",)
    )
    assert refused.code == ExitCode.BLOCKED
    assert project.access[1] in refused.err


def test_a_file_edited_by_hand_is_refused(
    project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a reviewer was shown is what happens, or nothing does."""
    saved(project, file)
    shown = json.loads(file.read_text())
    shown["actions"] = [each for each in shown["actions"] if each["resource"] != "coding/two"]
    file.write_text(json.dumps(shown))
    methods = watched_methods(monkeypatch)
    refused = apply(project, file, "--yes")
    assert refused.code == ExitCode.BLOCKED
    assert "does not tell what would be done (see its actions)" in refused.err
    assert set(methods) == {"GET"}
    assert not project.lockfile.exists()


def test_a_file_that_names_another_api_than_its_digest_is_refused(
    project: Project, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(project, file)
    shown = {**json.loads(file.read_text()), "api_url": "https://staging.example"}
    file.write_text(json.dumps(shown))
    methods = watched_methods(monkeypatch)
    refused = apply(project, file, "--yes")
    assert refused.code == ExitCode.BLOCKED
    assert "does not tell what would be done (see its api_url)" in refused.err
    assert set(methods) == {"GET"}
    assert not project.lockfile.exists()


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '{"format": "reconciler/plan/v2"}'])
def test_what_is_no_saved_plan_is_invalid(project: Project, file: Path, text: str) -> None:
    file.write_text(text)
    ended = apply(project, file)
    assert ended.code == ExitCode.INVALID
    assert str(file) in ended.err
    assert "plan --out" in ended.err
    assert not project.lockfile.exists()


def test_a_truncated_file_is_invalid(project: Project, file: Path) -> None:
    saved(project, file)
    file.write_bytes(file.read_bytes()[:-100])
    assert apply(project, file).code == ExitCode.INVALID
    file.unlink()
    assert apply(project, file).code == ExitCode.INVALID


def test_a_plan_goes_from_stdout_to_stdin(project: Project, tmp_path: Path) -> None:
    options = ("--target", "coding/one")
    printed = project.run("plan", "--out", "-", *options)
    assert printed.code == ExitCode.OK
    assert printed.json["options"]["target"] == ["coding/one"]
    assert not list(tmp_path.rglob("-"))
    running = project.start("apply", "--plan", "-", stdin=subprocess.PIPE)
    out, err = running.communicate(printed.out, timeout=60)
    assert (running.returncode, out != "") == (ExitCode.OK, True), err
    assert project.lock["targets"].keys() == {"coding/one"}
    again = project.start("apply", "--plan", "-", stdin=subprocess.PIPE)
    assert "error: stdin is no saved plan" in again.communicate("nonsense", timeout=60)[1]
    assert again.returncode == ExitCode.INVALID


def test_what_is_printed_as_json_is_not_printed_as_anything_else(project: Project) -> None:
    refused = project.run("plan", "--out", "-", "--format", "markdown")
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")


def test_an_offline_plan_cannot_be_saved(project: Project, file: Path) -> None:
    assert project.run("plan", "--offline", "--out", str(file)).code == ExitCode.USAGE
    assert not file.exists()
