"""An API that cannot be reached, refuses, or answers with something else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cli.project import target

from reconciler.core.errors import ExitCode

from .meddler import CUT, answer, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.project import Project

    from .meddler import Answer, Json, Meddler, Request

hurried = pytest.mark.usefixtures("hurried")
UNREADABLE = {
    "503": answer(503, {"error": "Busy"}),
    "504 page": page(504),
    "404 page": page(404),
    "200 page": page(200),
    "cut": CUT,
    "redirect": answer(302, {}, Location="https://elsewhere.example/"),
}


def statuses(project: Project, name: str) -> list[str]:
    block = project.lock["targets"][f"coding/{name}"]
    return [block[stage]["status"] for stage in ("stim", "rollout")]


@hurried
@pytest.mark.parametrize("fault", UNREADABLE.values(), ids=UNREADABLE)
def test_a_target_that_cannot_be_read_keeps_its_entry_while_the_others_go_on(
    project: Project, meddler: Meddler, fault: Answer
) -> None:
    project.targets(target("one"), target("two", questions=2))
    assert project.run("apply").code == ExitCode.OK
    before = project.lock["targets"]["coding/two"]
    meddler.behave()
    meddler.on("GET coding/targets/two.*", fault)
    project.targets(target("one"), target("two", questions=2), target("three"))
    ended = project.run("apply")
    assert ended.code == ExitCode.ERROR
    assert "coding/two" in ended.err
    assert statuses(project, "three") == ["complete", "complete"]
    assert project.lock["targets"]["coding/two"] == before
    assert not [write for write in meddler.writes if "two" in write]


@hurried
@pytest.mark.parametrize("options", [["apply"], ["apply", "--no-wait"], ["refresh"], ["destroy"]])
def test_a_run_that_could_read_nothing_begins_no_lockfile(
    project: Project, meddler: Meddler, options: list[str]
) -> None:
    meddler.on("GET .*", UNREADABLE["503"])
    ended = project.run(*options)
    assert ended.code == ExitCode.ERROR
    assert "Busy" in ended.err
    assert not project.lockfile.exists()


@hurried
@pytest.mark.parametrize("command", ["apply", "refresh"])
def test_a_run_that_could_read_nothing_keeps_what_is_known(
    project: Project, meddler: Meddler, command: str
) -> None:
    assert project.run("apply").code == ExitCode.OK
    before = project.lockfile.read_bytes()
    meddler.on("GET .*", UNREADABLE["503"])
    assert project.run(command).code == ExitCode.ERROR
    assert project.lockfile.read_bytes() == before


@hurried
def test_conflict_markers_are_not_mended_by_knowing_nothing(
    project: Project, meddler: Meddler
) -> None:
    assert project.run("apply").code == ExitCode.OK
    conflict = "<<<<<<< ours\n" + project.lockfile.read_text()
    project.lockfile.write_text(conflict)
    meddler.on("GET .*", UNREADABLE["503"])
    assert project.run("refresh").code == ExitCode.ERROR
    assert project.lockfile.read_text() == conflict


@hurried
@pytest.mark.parametrize("fault", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("what", ["coding", "coding/targets", "coding/prompts"])
def test_what_cannot_be_read_is_never_taken_for_absent(
    project: Project, meddler: Meddler, what: str, fault: Answer
) -> None:
    assert project.run("apply").code == ExitCode.OK
    before = project.lockfile.read_bytes()
    meddler.behave()
    meddler.on(f"GET {what}", fault)
    assert project.run("apply", "--prune", "--allow-destroy").code == ExitCode.ERROR
    assert meddler.writes == []
    assert project.lockfile.read_bytes() == before
    assert project.run("refresh").code in {ExitCode.OK, ExitCode.ERROR}
    assert project.lockfile.read_bytes() == before


@hurried
@pytest.mark.parametrize("body", [{}, {"items": []}, {"targets": None, "prompts": None}])
def test_a_listing_without_its_key_is_no_empty_listing(
    project: Project, meddler: Meddler, body: Json
) -> None:
    assert project.run("apply").code == ExitCode.OK
    meddler.behave()
    meddler.on("GET coding/(targets|prompts)", answer(200, body))
    ended = project.run("apply")
    assert ended.code == ExitCode.ERROR
    assert "listing" in ended.err
    assert meddler.writes == []


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("moment", ["GET coding/targets/two", "POST coding/targets/batch"])
def test_a_refused_key_ends_everything_at_once(
    project: Project, meddler: Meddler, status: int, moment: str
) -> None:
    refused: list[int] = []

    def refuse(request: Request, forward: Callable[[], Answer]) -> Answer:
        refused.append(len(meddler.requests))
        return answer(status, {"message": "Not with this key", "code": "UNAUTHORIZED"})

    if moment.startswith("GET"):
        assert project.run("apply").code == ExitCode.OK
    meddler.behave()
    meddler.on(moment, refuse)
    ended = project.run("apply", "--parallelism", "1")
    assert ended.code == ExitCode.ERROR
    assert "Not with this key" in ended.err
    assert "BREAD_API_KEY" in ended.err or "master key" in ended.err
    assert refused == [len(meddler.requests)]
    assert project.lockfile.exists()


def test_a_key_refused_while_jobs_run_ends_everything_and_keeps_what_is_known(
    project: Project, meddler: Meddler
) -> None:
    meddler.changes("(GET|POST) .*/one/rollout", lambda body: {**body, "status": "running"})
    meddler.on("GET .*/two/rollout", answer(401, {"error": "Expired"}), after=1)
    ended = project.run("apply")
    assert ended.code == ExitCode.ERROR
    assert "Expired" in ended.err
    assert statuses(project, "one") == ["complete", "running"]
    last = meddler.sent("GET .*/two/rollout")[-1]
    assert not [request for request in meddler.requests if request.at > last.at + 0.5]


def test_without_credits_nothing_more_is_started_and_what_runs_is_watched(
    project: Project, meddler: Meddler
) -> None:
    """One rollout is under way, the second is refused, the third must not even be asked for."""
    project.targets(target("one"), target("two"), target("zoo", questions=30))
    meddler.changes(
        "GET .*/one/rollout", lambda body: {**body, "status": "running"}, after=1, times=6
    )
    gone = answer(402, {"message": "Insufficient credits", "code": "PAYMENT_REQUIRED"})
    meddler.on("POST .*/(two|zoo)/rollout", gone)
    meddler.changes("GET .*/two/stim", lambda b: {**b, "status": "running"}, after=1, times=2)
    meddler.changes("GET .*/zoo/stim", lambda b: {**b, "status": "running"}, after=1, times=5)
    ended = project.run("apply")
    assert ended.code == ExitCode.BLOCKED
    assert "Insufficient credits" in ended.err
    assert "Top up the account" in ended.err
    assert len(meddler.sent("POST .*/(two|zoo)/rollout")) == 1
    assert statuses(project, "one") == ["complete", "complete"]
    assert statuses(project, "two") == statuses(project, "zoo") == ["complete", "not_started"]
    meddler.behave()
    assert project.run("apply").code == ExitCode.OK
    assert "attempts" not in project.lockfile.read_text()


def test_a_429_slows_the_whole_client_down_and_it_still_converges(
    project: Project, meddler: Meddler
) -> None:
    project.targets(*(target(f"t{n}") for n in range(6)))
    limited = answer(429, {"error": "Too many requests"}, Retry_After="1")
    meddler.on("POST .*/t0/stim", limited, times=1)
    ended = project.run("apply")
    assert ended.code == ExitCode.OK
    assert len(meddler.sent("POST .*/t0/stim")) == 2
    met = meddler.sent("POST .*/t0/stim")[0].at
    silence = [r for r in meddler.requests if met + 0.2 < r.at < met + 0.95]
    assert silence == []


@hurried
@pytest.mark.parametrize("call", ["stim", "rollout"])
def test_a_job_whose_answer_was_lost_is_not_started_twice(
    project: Project, meddler: Meddler, call: str
) -> None:
    meddler.on(f"POST .*/one/{call}", cut_after, times=1)
    ended = project.run("apply")
    assert ended.code == ExitCode.OK
    assert len(meddler.sent(f"POST .*/one/{call}")) == 1
    assert statuses(project, "one") == ["complete", "complete"]


def cut_after(request: Request, forward: Callable[[], Answer]) -> Answer:
    forward()
    return CUT


def unavailable_after(request: Request, forward: Callable[[], Answer]) -> Answer:
    forward()
    return page(502)


@hurried
@pytest.mark.parametrize("loss", [cut_after, unavailable_after])
@pytest.mark.parametrize(
    "call",
    [
        "POST /v1/repo",
        "POST coding/prompts",
        "POST coding/targets/batch",
        "DELETE coding/targets/one",
    ],
)
def test_a_change_whose_answer_was_lost_is_as_good_as_one_that_was_heard(
    project: Project,
    meddler: Meddler,
    call: str,
    loss: Callable[[Request, Callable[[], Answer]], Answer],
) -> None:
    freely = {"on_change": "replace", "prevent_destroy": False}
    if call.startswith("DELETE"):
        project.targets(target("one", policy=freely, questions=3))
        assert project.run("apply").code == ExitCode.OK
    project.targets(target("one", policy=freely), target("two"))
    meddler.behave()
    meddler.on(call, loss, times=1)
    ended = project.run("apply", "--allow-destroy")
    assert ended.code == ExitCode.OK
    assert statuses(project, "one") == statuses(project, "two") == ["complete", "complete"]
    assert len(meddler.sent("POST .*/one/stim")) == 1


@hurried
def test_an_api_that_stays_away_while_a_job_is_waited_for_is_given_up_in_time(
    project: Project, meddler: Meddler
) -> None:
    project.targets(target("one"), target("two"))
    meddler.on("GET .*/one/rollout", CUT, after=1)
    ended = project.run("apply")
    assert ended.code == ExitCode.ERROR
    assert statuses(project, "two") == ["complete", "complete"]
    assert len(meddler.sent("POST .*/one/rollout")) == 1
    meddler.behave()
    assert project.run("apply").code == ExitCode.OK
    assert meddler.writes == []


@hurried
@pytest.mark.parametrize("shape", [{"error": "No"}, {"message": "No"}, {"detail": [{"msg": "No"}]}])
def test_a_refused_target_is_told_in_the_words_of_the_service_and_takes_nobody_with_it(
    project: Project, meddler: Meddler, shape: Json
) -> None:
    def refuse_one(request: Request, forward: Callable[[], Answer]) -> Answer:
        return answer(422, shape) if b'"one"' in request.body else forward()

    meddler.on("POST coding/targets(/batch)?", refuse_one)
    ended = project.run("apply", "--format", "json")
    assert ended.code == ExitCode.ERROR
    errors = [line for line in ended.lines if line["event"] == "error"]
    assert [error["resource"] for error in errors] == ["coding/one"]
    assert "422: No" in errors[0]["message"]
    assert statuses(project, "two") == ["complete", "complete"]
    assert "coding/one" not in project.lock["targets"]
    assert json.loads(ended.out.splitlines()[-1])["converged"] is False
