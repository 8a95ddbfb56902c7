"""Jobs that fail, fall short or are reported in odd ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cli.project import target

from reconciler.core.errors import ExitCode

from .meddler import answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.project import Project

    from .meddler import Answer, Json, Meddler, Request

pytestmark = pytest.mark.usefixtures("hurried")

SENTENCE = "the judge model ran out of memory"
FAILED = answer(200, {"status": "failed", "lines": 0, "error": SENTENCE})
STIM = ".* coding/targets/one/stim"
START = "POST coding/targets/one/stim"
LOOK = "GET coding/targets/one/stim"


def stage(project: Project, name: str, which: str = "stim") -> Json:
    found: Json = project.lock["targets"][f"coding/{name}"][which]
    return found


def one(**parts: Any) -> str:
    return target("one", **parts)


def messages(lines: list[Json], kind: str) -> str:
    return "\n".join(line["message"] for line in lines if line["event"] == kind)


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_failed_job_is_retried_as_often_as_allowed_and_then_blocked(
    project: Project, meddler: Meddler, retries: int
) -> None:
    broken = {"generators": [{"type": "from_dataset", "dataset": "nowhere"}]}
    project.targets(one(spec=broken, policy={"retries": retries}), target("two"))
    ended = project.run("apply", "--format", "json")
    assert ended.code == ExitCode.BLOCKED
    assert len(meddler.sent(START)) == 1 + retries
    assert stage(project, "one")["attempts"] == 1 + retries
    assert stage(project, "one")["error"] in messages(ended.lines, "blocked")
    assert stage(project, "two", "rollout")["status"] == "complete"
    meddler.behave()
    assert project.run("apply").code == ExitCode.BLOCKED
    assert meddler.writes == []


def test_a_service_that_answers_failed_again_is_asked_no_more_than_allowed(
    project: Project, meddler: Meddler
) -> None:
    meddler.on(STIM, FAILED)
    project.targets(one(policy={"retries": 2}), target("two"))
    ended = project.run("apply")
    assert ended.code == ExitCode.BLOCKED
    assert SENTENCE in ended.err
    assert len(meddler.sent(START)) == 2
    assert stage(project, "one") | {"expected": 0} == {
        "status": "failed",
        "lines": 0,
        "expected": 0,
        "attempts": 3,
        "error": SENTENCE,
    }


def test_a_cron_loop_does_not_start_counting_anew(project: Project, meddler: Meddler) -> None:
    meddler.on(STIM, FAILED)
    project.targets(one(policy={"retries": 1}))
    for _ in range(3):
        assert project.run("apply").code == ExitCode.BLOCKED
    assert len(meddler.sent(START)) == 1


def short(meddler: Meddler, lines: int) -> None:
    """Report fewer lines, until the target has been deleted."""

    def shortened(body: Json) -> Json:
        deleted = meddler.sent("DELETE coding/targets/one")
        return body if deleted or body["status"] != "complete" else {**body, "lines": lines}

    meddler.changes(STIM, shortened)


WANTED = {"stim": {"min_lines": 4}}


def test_a_shortfall_is_blocked_unless_the_policy_says_otherwise(
    project: Project, meddler: Meddler
) -> None:
    short(meddler, 3)
    project.targets(one(desired=WANTED), target("two"))
    ended = project.run("apply")
    assert ended.code == ExitCode.BLOCKED
    assert "3 / 4 lines" in ended.err
    assert meddler.sent("POST .*/one/rollout") == []
    assert stage(project, "one")["lines"] == 3
    assert stage(project, "two", "rollout")["status"] == "complete"


def test_a_shortfall_that_the_policy_accepts_is_a_warning(
    project: Project, meddler: Meddler
) -> None:
    short(meddler, 3)
    project.targets(one(desired=WANTED, policy={"on_shortfall": "accept"}))
    ended = project.run("apply", "--format", "json")
    assert ended.code == ExitCode.OK
    assert "3 / 4 lines" in messages(ended.lines, "warning")
    assert stage(project, "one")["lines"] == 3
    assert stage(project, "one", "rollout")["status"] == "complete"
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_a_shortfall_is_replaced_only_with_every_permission(
    project: Project, meddler: Meddler
) -> None:
    short(meddler, 3)
    freely = {"on_shortfall": "replace", "prevent_destroy": False}
    project.targets(one(desired=WANTED, policy={"on_shortfall": "replace"}))
    assert project.run("apply", "--allow-destroy").code == ExitCode.BLOCKED
    assert project.run("apply", "--allow-destroy").code == ExitCode.BLOCKED
    project.targets(one(desired=WANTED, policy=freely))
    assert project.run("apply").code == ExitCode.BLOCKED
    assert meddler.sent("DELETE .*") == []
    assert project.run("apply", "--allow-destroy").code == ExitCode.OK
    assert len(meddler.sent("DELETE .*")) == 1
    assert stage(project, "one")["lines"] == 4


@pytest.mark.parametrize("status", ["pending", "archiving", "RUNNING"])
def test_a_job_in_any_other_status_is_waited_for_and_never_started_again(
    project: Project, meddler: Meddler, status: str
) -> None:
    meddler.changes(LOOK, lambda body: {**body, "status": status}, times=3, after=1)
    project.targets(one())
    ended = project.run("apply")
    assert ended.code == ExitCode.OK
    assert len(meddler.sent(START)) == 1
    assert (f'"{status}"' in ended.err) == (status != "pending")
    assert stage(project, "one")["status"] == "complete"


def test_a_status_that_stays_unknown_ends_at_the_timeout_with_a_word_about_it(
    project: Project, meddler: Meddler
) -> None:
    meddler.changes(LOOK, lambda body: {**body, "status": "archiving"}, after=1)
    project.targets(one(desired={"stim": {"timeout": "90s"}}))
    for _ in range(2):
        ended = project.run("apply")
        assert ended.code == ExitCode.PENDING
        assert '"archiving"' in ended.err
    assert len(meddler.sent(START)) == 1
    assert stage(project, "one")["status"] == "archiving"


def without(*names: str) -> Callable[[Json], Json]:
    return lambda body: {name: value for name, value in body.items() if name not in names}


@pytest.mark.parametrize(
    "change",
    [lambda body: {**body, "lines": None}, without("lines")],
    ids=["null", "missing"],
)
def test_where_the_status_has_no_count_the_outputs_tell_it(
    project: Project, meddler: Meddler, change: Callable[[Json], Json]
) -> None:
    meddler.changes(".* coding/targets/[a-z]+/(stim|rollout)", change)
    assert project.run("apply").code == ExitCode.OK
    assert stage(project, "one")["lines"] == 4
    assert stage(project, "one", "rollout")["lines"] == 12
    assert meddler.sent("GET .*/stim/output")
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


@pytest.mark.parametrize(
    "names",
    [
        ("config",),
        ("parameters",),
        ("config", "parameters", "job_id", "progress_percent", "total_expected", "error"),
    ],
)
def test_a_status_may_lack_everything_but_itself_and_its_lines(
    project: Project, meddler: Meddler, names: tuple[str, ...]
) -> None:
    meddler.changes(".* coding/targets/[a-z]+/(stim|rollout)", without(*names))
    assert project.run("apply").code == ExitCode.OK
    assert stage(project, "one", "rollout") == {"status": "complete", "lines": 12, "expected": 12}
    before = project.lockfile.read_bytes()
    meddler.behave()
    assert project.run("apply").code == ExitCode.OK
    assert meddler.writes == []
    assert project.lockfile.read_bytes() == before


def test_a_target_that_vanishes_while_it_is_waited_for_is_an_error_and_made_anew_by_the_next_run(
    project: Project, meddler: Meddler
) -> None:
    def vanish(request: Request, forward: Callable[[], Answer]) -> Answer:
        meddler.beside(request, "DELETE", "coding/targets/one")
        return forward()

    meddler.on("GET coding/targets/one/rollout", vanish, times=1, after=1)
    meddler.changes("POST .*/one/rollout", lambda body: {**body, "status": "running"})
    ended = project.run("apply")
    assert ended.code == ExitCode.ERROR
    assert "Target not found" in ended.err
    assert meddler.sent("POST coding/targets/one") == []
    assert stage(project, "two", "rollout")["status"] == "complete"
    meddler.behave()
    assert project.run("apply").code == ExitCode.OK
    assert stage(project, "one", "rollout")["status"] == "complete"
