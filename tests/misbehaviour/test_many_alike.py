"""What goes wrong for many in the same way is told in a few lines, and in full where asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli.project import target

from reconciler.core.errors import ExitCode

from .meddler import Answer, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.project import Project

    from .meddler import Json, Meddler, Request

pytestmark = pytest.mark.usefixtures("hurried")
MANY = 12


@pytest.fixture
def many(project: Project) -> Project:
    project.targets(*(target(f"t{number:02}", questions=1) for number in range(MANY)))
    return project


@pytest.fixture
def pulled(many: Project) -> Project:
    assert many.run("apply").code == ExitCode.OK
    assert many.run("pull").code == ExitCode.OK
    return many


def lines(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(word)]


def busy(request: Request, forward: Callable[[], Answer]) -> Answer:
    """Answer as a proxy that names what it was asked for."""
    return answer(503, {"error": f"nobody serves {request.path}"})


def test_targets_that_could_not_be_created_for_the_same_reason(
    many: Project, meddler: Meddler
) -> None:
    meddler.on("POST .*/batch", answer(502, {"error": "Bad gateway"}))
    ended = many.run("apply")
    told = lines(ended.err, "error ")
    assert ended.code == ExitCode.ERROR
    assert [line.split()[2] for line in told[:-1]] == ["coding/t00", "coding/t01", "coding/t02"]
    assert told[-1] == "error     9 more resources  502: Bad gateway"
    assert ended.out == "Not converged: 12 failed, 3 as declared.\n"


def test_jobs_that_could_not_be_started_for_the_same_reason(
    many: Project, meddler: Meddler
) -> None:
    meddler.on("POST .*/stim", answer(400, {"error": "No such model"}))
    told = lines(many.run("apply").err, "error ")
    assert len(told) == 4
    assert told[-1] == "error     9 more resources stim  400: No such model"


def test_each_is_told_with_v_and_to_scripts(many: Project, meddler: Meddler) -> None:
    meddler.on("POST .*/batch", answer(502, {"error": "Bad gateway"}))
    assert len(lines(many.run("apply", "-v").err, "error ")) == MANY
    events = [line for line in many.run("apply", "--format", "json").lines if "resource" in line]
    assert len([event for event in events if event["event"] == "error"]) == MANY


def test_outputs_that_could_not_be_pulled_for_the_same_reason(
    many: Project, meddler: Meddler
) -> None:
    meddler.on("GET .*", answer(503, {"error": "Down"}))
    ended = many.run("pull")
    told = lines(ended.err, "failed ")
    assert ended.code == ExitCode.ERROR
    assert [line.split()[1:3] for line in told[:2]] == [
        ["coding/t00", "stim"],
        ["coding/t00", "rollout"],
    ]
    assert told[3:] == ["failed      21 more outputs  503: Down"]
    assert len(lines(many.run("pull", "-v").err, "failed ")) == 2 * MANY


def test_what_could_not_be_read_is_told_once_though_the_answers_name_it(
    many: Project, meddler: Meddler
) -> None:
    assert many.run("apply").code == ExitCode.OK
    meddler.on("GET .*/targets/.*", busy)
    ended = many.run("plan")
    assert len(lines(ended.out, "  ? ")) == 1
    assert "coding/t00, coding/t01, coding/t02 and 9 more" in ended.out
    assert "503: nobody serves …" in ended.out


def test_outputs_whose_counts_have_changed(pulled: Project, meddler: Meddler) -> None:
    def more(body: Json) -> Json:
        return {**body, "lines": body["lines"] + 1}

    meddler.changes("GET .*/stim", more)
    for command in ("plan", "apply"):
        told = lines(pulled.run(command).err, "warning: ")
        assert len(told) == 6
        assert told[0].startswith("warning: coding/t00 stim: ")
        assert told[-1] == (
            "warning: 7 more outputs are not, or may not be, what was pulled. "
            "`reconciler pull --check` tells of each"
        )
