"""An API that asks for long pauses: they are told, and no longer than --timeout allows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from reconciler.core.errors import ExitCode

from .meddler import answer

if TYPE_CHECKING:
    from cli.project import Project

    from .meddler import Meddler

LIMITED = answer(429, {"error": "Too many requests"}, Retry_After="3600")
TOLD = "The API asks for a pause (429): going on in 10m00s.\n"
hurried = pytest.mark.usefixtures("hurried")


@hurried
@pytest.mark.parametrize("command", ["plan", "status", "apply", "refresh", "pull"])
def test_a_long_pause_is_told_once(project: Project, meddler: Meddler, command: str) -> None:
    meddler.on("GET .*", LIMITED, times=1)
    assert project.run(command).err.count(TOLD) == 1


@hurried
def test_a_long_pause_is_not_told_to_who_wants_quiet(project: Project, meddler: Meddler) -> None:
    meddler.on("GET .*", LIMITED, times=1)
    assert project.run("plan", "-q").err == ""


@hurried
def test_a_long_pause_leaves_json_alone(project: Project, meddler: Meddler) -> None:
    meddler.on("GET .*", LIMITED, times=1)
    ended = project.run("plan", "--format", "json")
    assert ended.err == TOLD
    assert ended.json["summary"]["create"] == 5


def test_a_timeout_bounds_reading_live_state(project: Project, meddler: Meddler) -> None:
    meddler.on("GET .*", LIMITED)
    ended = project.run("apply", "--timeout", "0.3s")
    assert ended.code == ExitCode.ERROR
    assert "error: live state could not be read within 0.3s\n" in ended.err
    assert "--timeout" in ended.err
    assert ended.out == ""
    assert not project.lockfile.exists()


@pytest.mark.parametrize("writes", ["POST .*", "POST .*/targets.*", "POST .*/stim"])
def test_a_timeout_bounds_creating_and_starting(
    project: Project, meddler: Meddler, writes: str
) -> None:
    meddler.on(writes, LIMITED)
    ended = project.run("apply", "--timeout", "1s", "--format", "json")
    *_, summary = ended.lines
    assert ended.code == summary["exit_code"] == ExitCode.PENDING
    assert len(meddler.sent(writes)) <= 2
    assert project.lockfile.exists()


@hurried
def test_what_reading_took_of_the_time_is_gone(project: Project, meddler: Meddler) -> None:
    meddler.on("GET .*", LIMITED, times=1)
    ended = project.run("apply", "--timeout", "9m")
    assert ended.code == ExitCode.PENDING
    assert "the time is up" in ended.err
    assert not meddler.writes


def test_a_timeout_while_reading_live_state_is_told_to_scripts(
    project: Project, meddler: Meddler
) -> None:
    meddler.on("GET .*", LIMITED)
    (summary,) = project.run("apply", "--timeout", "0.3s", "--format", "json").lines
    assert (summary["event"], summary["exit_code"]) == ("summary", ExitCode.ERROR)
    assert re.search("live state could not be read", summary["error"])
