"""``report``: the page as a command makes it, live and offline."""

from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from reconciler.core.errors import ExitCode

from .project import Project, outcome, target

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _at_a_fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")


def words(page: str) -> str:
    """Return what a page says, without its elements."""
    body = re.sub("<script>.*?</script>", "", page.partition("<body>")[2], flags=re.DOTALL)
    return " ".join(re.sub("<[^>]*>", " ", body).split())


def test_a_report_says_the_same_as_status_before_and_after(project: Project) -> None:
    before = words(project.run("report").out)
    assert "Not converged" in before
    assert "missing 0 / 4" in before
    assert "create coding/one does not exist yet" in before
    assert project.run("apply").code == ExitCode.OK
    after = project.run("report")
    assert (after.code, after.err) == (ExitCode.OK, "")
    told = words(after.out)
    assert "✓ Converged Nothing to do: live state satisfies every manifest." in told
    status = project.run("status", "--format", "json").json
    for one in status["targets"]:
        stages = (one["stim"], one["rollout"])
        cells = " ".join(f"✓ complete {seen['lines']} / {seen['expected']}" for seen in stages)
        assert f"{one['resource']} converged {cells}" in told


def test_the_same_state_makes_the_same_bytes(project: Project) -> None:
    assert project.run("apply").code == ExitCode.OK
    assert project.run("report").out == project.run("report").out
    assert "Made 2027-01-15 08:00:00 UTC" in words(project.run("report").out)


def test_offline_the_lockfile_tells_and_no_key_is_needed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.run("apply").code == ExitCode.OK
    monkeypatch.delenv("BREAD_API_KEY")
    told = project.run("report", "--offline", access=())
    assert told.code == ExitCode.OK
    assert "Converged, as far as the lockfile knows" in words(told.out)
    project.targets(target("one", questions=5), target("three"))
    told = project.run("report", "--offline", access=())
    assert "Not converged" in words(told.out)
    assert "coding/three pending ○ missing 0 / 4" in words(told.out)
    assert "no manifest declares it any more" in words(told.out)


def test_what_is_blocked_says_why_and_what_to_do(project: Project) -> None:
    assert project.run("apply").code == ExitCode.OK
    project.targets(target("one", questions=5), target("two", questions=2))
    told = words(project.run("report").out)
    assert "blocked the live config differs and is immutable" in told
    assert "To do: Set policy.on_change to revise or replace, or undo the change." in told


def test_a_report_goes_to_a_file_on_request(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    ended = project.run("report", "--out", str(file))
    assert ended.out == f"{file}: 2 targets. Not converged.\n"
    assert file.read_text() == project.run("report").out
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~_umask()
    assert project.run("report", "-q", "--out", str(file)).out == ""
    ended = project.run("report", "--out", str(tmp_path / "nowhere" / "x.html"))
    assert ended.code == ExitCode.ERROR
    assert "cannot write" in ended.err


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_report_narrows_to_a_scope(project: Project) -> None:
    told = words(project.run("report", "--target", "coding/two").out)
    assert "coding/two" in told
    assert "coding/one" not in told
    assert project.run("report", "--target", "coding/x").code == ExitCode.USAGE


def test_a_report_as_json_holds_status_plan_and_history(project: Project) -> None:
    assert project.run("apply").code == ExitCode.OK
    told = project.run("report", "--format", "json").json
    assert told["format"] == "reconciler/report/v1"
    assert told["status"] == project.run("status", "--format", "json").json
    assert told["plan"] == project.run("plan", "--format", "json").json
    assert told["history"]["versions"] == []


def test_the_history_comes_from_git(project: Project) -> None:
    assert project.run("apply").code == ExitCode.OK
    people = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for command in (("init", "-q"), ("add", "-A"), (*people, "commit", "-qm", "x")):
        subprocess.run(["git", *command], cwd=project.root, check=True)
    version = project.run("report", "--format", "json").json["history"]["versions"][0]
    assert (version["targets"], version["lines"]) == (2, {"stim": 6, "rollout": 18})
    assert version["commit"] in project.run("report").out


def test_unreadable_live_state_ends_with_an_error_and_a_page(project: Project) -> None:
    ended = project.run("report", access=("--api-url", "http://127.0.0.1:9"))
    assert ended.code == ExitCode.ERROR
    assert "could not be read" in words(ended.out)


def test_on_a_terminal_a_page_wants_a_file(project: Project) -> None:
    master, slave = pty.openpty()
    try:
        ended = outcome(project.start("report", stdout=slave))
    finally:
        os.close(slave)
        os.close(master)
    assert ended.code == ExitCode.USAGE
    assert "--out report.html" in ended.err


def test_invalid_manifests_leave_an_old_report_alone(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert project.run("report", "--out", str(file)).code == ExitCode.OK
    old = file.read_bytes()
    project.write("bad.yaml", "kind: Nonsense\n")
    assert project.run("report", "--out", str(file)).code == ExitCode.INVALID
    assert file.read_bytes() == old


def test_a_project_is_called_by_its_name_or_else_its_directory(project: Project) -> None:
    assert json.loads(project.run("report", "--format", "json").out)["project"] == "project"
    named = "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: assistant}\n"
    project.write("project.yaml", named)
    assert "<h1>assistant</h1>" in project.run("report").out
