"""Streams that are closed or full: the exit code still says what happened, in a line or in none."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from processes import SAME_CODE

from reconciler.core.errors import ExitCode

from .project import Ended, Project, process

if TYPE_CHECKING:
    from pathlib import Path

CLOSED = "error: cannot write: stdout is closed\n"
SILENCED = ["2>&-", "2>/dev/full", "2>&- <&-"]


def redirected(redirection: str, *arguments: str, key: str = "") -> Ended:
    """Run the command as a shell would with this redirection."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BREAD_", "RECONCILER_"))}
    shell = ("sh", "-c", f'exec "$0" "$@" {redirection}')
    done = subprocess.run(
        [*shell, sys.executable, "-m", "reconciler", *arguments],
        check=False,
        env={**clean, **SAME_CODE, **({"BREAD_API_KEY": key} if key else {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def on_project(project: Project, redirection: str, command: str, *options: str) -> Ended:
    key = project.environment.get("BREAD_API_KEY", "some-key")
    return redirected(redirection, command, str(project.root), *project.access, *options, key=key)


@pytest.fixture
def project(project: Project) -> Project:
    project.environment = {"BREAD_API_KEY": os.environ["BREAD_API_KEY"]}
    return project


@pytest.fixture
def broken(tmp_path: Path) -> str:
    file = tmp_path / "broken.yaml"
    file.write_text("broken: [\n")
    return str(file)


@pytest.mark.parametrize("arguments", [["schema"], ["--help"], ["--version"], ["plan", "--help"]])
def test_a_result_for_a_closed_stdout_is_an_error_of_one_line(arguments: list[str]) -> None:
    assert redirected(">&-", *arguments) == Ended(ExitCode.ERROR, "", CLOSED)


@pytest.mark.parametrize("command", ["validate", "plan", "status", "refresh"])
def test_what_a_command_found_out_cannot_go_to_a_closed_stdout(
    project: Project, command: str
) -> None:
    ended = on_project(project, ">&-", command, "--quiet", "--format", "json")
    assert ended == Ended(ExitCode.ERROR, "", CLOSED)


def test_an_apply_whose_stdout_is_closed_is_done_all_the_same(project: Project) -> None:
    ended = on_project(project, ">&-", "apply", "--quiet")
    assert ended == Ended(ExitCode.ERROR, "", CLOSED)
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_what_has_no_result_needs_no_stdout(broken: str) -> None:
    ended = redirected(">&-", "validate", broken)
    assert ended.code == ExitCode.INVALID
    assert "broken.yaml:2:1" in ended.err
    assert redirected(">&-", "nonsense").code == ExitCode.USAGE


@pytest.mark.parametrize("redirection", SILENCED)
def test_where_errors_cannot_be_told_the_exit_code_still_tells(
    broken: str, redirection: str
) -> None:
    assert redirected(redirection, "validate", broken) == Ended(ExitCode.INVALID, "", "")
    assert redirected(redirection, "nonsense") == Ended(ExitCode.USAGE, "", "")


@pytest.mark.parametrize("redirection", SILENCED)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_run_goes_on_where_nobody_can_read_of_it(
    project: Project, redirection: str, form: str
) -> None:
    ended = on_project(project, redirection, "apply", "--format", form)
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    assert ended.out
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


@pytest.mark.parametrize("redirection", [">&- 2>&-", ">&- 2>&- <&-", ">/dev/full 2>/dev/full"])
def test_with_neither_stream_only_the_exit_code_is_left(
    project: Project, broken: str, redirection: str
) -> None:
    assert redirected(redirection, "validate", broken) == Ended(ExitCode.INVALID, "", "")
    assert on_project(project, redirection, "plan") == Ended(ExitCode.ERROR, "", "")


def test_no_file_takes_the_place_of_a_closed_stream(project: Project) -> None:
    """The system gives its number to the next file that is opened: the lockfile, say."""
    on_project(project, ">&- 2>&- <&-", "apply", "-v")
    whole = project.lockfile.read_text()
    assert whole.startswith("# Written by reconciler")
    assert project.run("apply").code == ExitCode.OK
    assert project.lockfile.read_text() == whole


# A reader that has gone, as ``head`` does


def unread(*arguments: str, key: str = "some-key", timeout: float = 60) -> Ended:
    """Run the command where nobody reads its stdout any more, from the first byte on."""
    reading, writing = os.pipe()
    os.close(reading)
    running = process(*arguments, env={"BREAD_API_KEY": key}, stdout=writing)
    os.close(writing)
    _, err = running.communicate(timeout=timeout)
    return Ended(running.returncode, "", err)


def unread_project(project: Project, command: str, *options: str) -> Ended:
    key = project.environment["BREAD_API_KEY"]
    return unread(command, str(project.root), *project.access, *options, key=key)


@pytest.mark.parametrize(
    "arguments", [["schema"], ["--help"], ["--version"], ["plan", "--help"], ["explain", "target"]]
)
def test_whoever_stops_reading_has_read_enough(arguments: list[str]) -> None:
    assert unread(*arguments) == Ended(ExitCode.OK, "", "")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("command", ["validate", "plan", "status", "refresh"])
def test_the_exit_code_is_the_same_whether_anybody_reads(
    project: Project, command: str, form: str
) -> None:
    assert unread_project(project, command, "-q", "--format", form) == Ended(ExitCode.OK, "", "")


def test_what_is_pending_or_wrong_is_no_less_so_for_not_being_read(
    project: Project, broken: str
) -> None:
    assert unread_project(project, "plan", "--detailed-exitcode").code == ExitCode.PENDING
    assert unread("validate", "--format", "json", broken).code == ExitCode.INVALID
    project.environment = {"BREAD_API_KEY": "a wrong one"}
    ended = unread_project(project, "apply", "--format", "json")
    assert ended.code == ExitCode.ERROR
    assert ended.err.startswith("error: ")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_run_goes_on_to_its_end_when_nobody_reads_of_it(project: Project, form: str) -> None:
    assert unread_project(project, "apply", "-q", "--format", form) == Ended(ExitCode.OK, "", "")
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_only_shows_ends_when_nobody_looks(project: Project, form: str) -> None:
    ended = unread_project(project, "status", "--watch", "--interval", "1h", "--format", form)
    assert ended == Ended(ExitCode.OK, "", "")
