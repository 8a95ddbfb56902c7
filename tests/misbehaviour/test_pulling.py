"""Downloads that are cut, killed, lied to and starved end in the same bytes, or in none."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli.project import PROMPTS, outcome, process, target
from hostile.support import measured

from reconciler.core.errors import ExitCode
from reconciler.workflow.access import Access
from reconciler.workflow.loading import load
from reconciler.workflow.place import place
from reconciler.workflow.verbs.apply import ApplyOptions, apply

from .conftest import KEY
from .meddler import CUT, Answer, answer, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.project import Project

    from reconciler.core.model.plan import Plan

    from .meddler import Json, Meddler, Request

ROLLOUT = "GET .*/rollout/output"
#: Enough for several pages.
ROWS = 9_000


@dataclass(frozen=True)
class Ran:
    """A project whose rollout has several pages, and what an undisturbed pull makes of it."""

    root: Path
    access: tuple[str, ...]
    rollout: bytes


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, shared_meddler: Meddler) -> Ran:
    root = tmp_path_factory.mktemp("ran")
    access = ("--api-url", shared_meddler.url, "--user-id", "puller")
    (root / "prompts.yaml").write_text(PROMPTS)
    (root / "targets.yaml").write_text(target("one", questions=30, trajectories=ROWS // 30))
    for command in (("apply",), ("pull", "--lockfile", str(root / "other.lock"))):
        name, *options = command
        running = process(name, str(root), *access, *options, env={"BREAD_API_KEY": KEY})
        assert outcome(running, 60).code == ExitCode.OK
    return Ran(root, access, (root / "outputs/coding/one/rollout.jsonl").read_bytes())


@pytest.fixture
def pulled(ran: Ran) -> bytes:
    """Return what an undisturbed pull writes."""
    return ran.rollout


@pytest.fixture
def applied(project: Project, meddler: Meddler, ran: Ran) -> Project:
    """Give that project with nothing pulled."""
    for name in ("prompts.yaml", "targets.yaml", "reconciler.lock"):
        (project.root / name).write_bytes((ran.root / name).read_bytes())
    meddler.requests.clear()
    return replace(project, access=ran.access)


def file(project: Project) -> Path:
    return project.root / "outputs/coding/one/rollout.jsonl"


def part(project: Project) -> Path:
    return file(project).with_name("rollout.jsonl.part")


def is_recorded(project: Project) -> bool:
    return "output" in project.lock["targets"]["coding/one"]["rollout"]


def slowly(request: Request, forward: Callable[[], Answer]) -> Answer:
    time.sleep(0.1)
    return forward()


class TestKilled:
    @pytest.mark.parametrize("lines", [1, 4_000, 8_000])
    def test_a_killed_download_goes_on_where_it_was(
        self, applied: Project, pulled: bytes, meddler: Meddler, lines: int
    ) -> None:
        meddler.on(ROLLOUT, slowly)
        command = ("pull", str(applied.root), *applied.access)
        running = process(*command, env={"BREAD_API_KEY": KEY})
        deadline = time.monotonic() + 60
        while not _has(part(applied), lines):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        running.kill()
        running.communicate()
        assert pulled.startswith(part(applied).read_bytes())
        assert not is_recorded(applied)

        there = part(applied).read_bytes().count(b"\n")
        meddler.behave()
        assert applied.run("pull", "--stage", "rollout").code == ExitCode.OK
        assert file(applied).read_bytes() == pulled
        assert is_recorded(applied)
        asked = len(meddler.sent(ROLLOUT))
        assert asked <= 2 + (ROWS - there) // 1000 + 1 + 1  # both ends, the rest, one more look

    def test_a_torn_last_line_is_written_anew(self, applied: Project, pulled: bytes) -> None:
        part(applied).parent.mkdir(parents=True)
        part(applied).write_bytes(pulled[: len(pulled) // 2])
        assert applied.run("pull").code == ExitCode.OK
        assert file(applied).read_bytes() == pulled


def _has(path: Path, lines: int) -> bool:
    return path.exists() and path.read_bytes().count(b"\n") >= lines


@pytest.mark.usefixtures("hurried")
class TestDisturbed:
    @pytest.mark.parametrize(
        "fault",
        [page(503), CUT, answer(429, {"error": "slow down"}, Retry_After="1")],
        ids=["503", "cut", "429"],
    )
    def test_faults_that_pass_make_no_difference(
        self, applied: Project, pulled: bytes, meddler: Meddler, fault: Answer
    ) -> None:
        meddler.on(ROLLOUT, fault, times=3, after=2)
        assert applied.run("pull").code == ExitCode.OK
        assert file(applied).read_bytes() == pulled

    def test_what_was_read_before_a_fault_that_stays_is_kept(
        self, applied: Project, pulled: bytes, meddler: Meddler
    ) -> None:
        meddler.on(ROLLOUT, page(503), after=3)
        failed = applied.run("pull")
        assert failed.code == ExitCode.ERROR
        assert "failed      coding/one rollout  GET " in failed.err
        assert "Outputs: 1 pulled, 1 failed" in failed.out
        assert not file(applied).exists()
        assert not is_recorded(applied)
        meddler.behave()
        assert applied.run("pull").code == ExitCode.OK
        assert file(applied).read_bytes() == pulled

    def test_a_refused_key_ends_everything(self, applied: Project, meddler: Meddler) -> None:
        meddler.on(ROLLOUT, answer(401, {"error": "no such key"}), after=2)
        refused = applied.run("pull")
        assert refused.code == ExitCode.ERROR
        assert "no such key" in refused.err
        assert not is_recorded(applied)


def _with(**changes: Any) -> Callable[[Json], Json]:
    return lambda body: {**body, **changes}


LIES: dict[str, tuple[Callable[[Json], Json], str]] = {
    "another job": (lambda body: {**body, "job_id": body["job_id"] + 1}, "its job ran again"),
    "running": (_with(status="running"), "its job is now running"),
    "fewer": (_with(lines=ROWS - 1), "it had 9,000 records, now 8,999"),
    "no more": (_with(has_more=False, output=[]), "where it counts 9,000"),
    "elsewhere": (_with(offset=1), "the API sent 1"),
    "no records": (_with(output=None), "no list of output"),
    "numbers": (lambda body: {**body, "output": [1 for _ in body["output"]]}, "is no object"),
}


class TestLiedTo:
    """Nothing is recorded of an output that is not what its status said."""

    @pytest.mark.parametrize("lie", LIES)
    def test_it_is_an_error(
        self, applied: Project, pulled: bytes, meddler: Meddler, lie: str
    ) -> None:
        change, words = LIES[lie]
        meddler.changes(ROLLOUT, change, times=1, after=4)
        failed = applied.run("pull")
        assert failed.code == ExitCode.ERROR
        assert words in failed.err
        assert not file(applied).exists()
        assert not is_recorded(applied)
        meddler.behave()
        assert applied.run("pull").code == ExitCode.OK
        assert file(applied).read_bytes() == pulled

    def test_a_job_that_ran_again_unseen_is_seen_by_its_records(
        self, applied: Project, meddler: Meddler
    ) -> None:
        """Neither the number of the job nor any count gives it away."""
        pages = iter(range(100))

        def other(body: Json) -> Json:
            made = "another run" if next(pages) >= 9 else "this run"
            records = [{**each, "seed": made} for each in body["output"]]
            return {**body, "output": records, "job_id": None}

        meddler.changes(ROLLOUT, other)
        failed = applied.run("pull")
        assert failed.code == ExitCode.ERROR
        assert "its records changed while they were read" in failed.err
        assert not is_recorded(applied)


class TestChanged:
    """Data that changed behind the same count is noticed, and what was pulled is replaced."""

    @staticmethod
    def other(body: Json) -> Json:
        return {**body, "output": [{**each, "response": "Other."} for each in body["output"]]}

    def test_the_next_pull_sees_it(self, applied: Project, meddler: Meddler) -> None:
        applied.run("pull")
        before = applied.lockfile.read_bytes()
        meddler.changes(ROLLOUT, self.other)
        again = applied.run("pull")
        assert again.code == ExitCode.OK
        assert "replaced    coding/one rollout  9,000 records, " in again.err
        assert "its records are not those that were pulled before" in again.err
        assert json.loads(file(applied).read_text().splitlines()[-1])["response"] == "Other."
        assert applied.lockfile.read_bytes() != before

    def test_a_check_sees_it_in_any_record(self, applied: Project, meddler: Meddler) -> None:
        applied.run("pull")
        meddler.changes(ROLLOUT, self.other, times=1, after=4)
        before = (applied.lockfile.read_bytes(), file(applied).read_bytes())
        checked = applied.run("pull", "--check")
        assert checked.code == ExitCode.BLOCKED
        assert "changed     coding/one rollout" in checked.err
        assert (applied.lockfile.read_bytes(), file(applied).read_bytes()) == before

    def test_a_plan_warns_of_another_count(self, applied: Project, meddler: Meddler) -> None:
        applied.run("pull")
        assert applied.run("plan").err == ""
        meddler.changes("GET .*/rollout", _with(lines=ROWS + 5))
        planned = applied.run("plan")
        assert planned.code == ExitCode.OK
        assert planned.err == (
            "warning: coding/one rollout: the output pulled had 9,000 lines; now there are 9,005. "
            "`reconciler pull` gets them\n"
        )
        assert applied.run("plan", "-q").err == ""


CHANGED = (
    "warning: coding/one rollout: the data changed since it was pulled: record 9,000 of 9,000 is "
    "another one. `reconciler pull` gets it; `reconciler pull --check` compares every record\n"
)


class TestCompared:
    """A plan compares one record of every output that was pulled, where its file is there."""

    @pytest.fixture
    def settled(self, applied: Project, meddler: Meddler) -> Project:
        """Give the project with everything pulled, and no request noted."""
        assert applied.run("pull").code == ExitCode.OK
        meddler.requests.clear()
        return applied

    @pytest.mark.parametrize("form", ["text", "json", "markdown"])
    def test_data_that_changed_behind_its_count_is_told_and_nothing_else_changes(
        self, settled: Project, meddler: Meddler, form: str
    ) -> None:
        before = settled.run("plan", "--format", form, "--detailed-exitcode")
        assert (before.code, before.err) == (ExitCode.OK, "")
        meddler.changes(ROLLOUT, TestChanged.other)
        after = settled.run("plan", "--format", form, "--detailed-exitcode")
        assert (after.code, after.out, after.err) == (ExitCode.OK, before.out, CHANGED)

    def test_pulling_settles_it(self, settled: Project, meddler: Meddler) -> None:
        meddler.changes(ROLLOUT, TestChanged.other)
        assert settled.run("pull").code == ExitCode.OK
        assert settled.run("plan").err == ""

    def test_it_takes_one_request_for_each(self, settled: Project, meddler: Meddler) -> None:
        settled.run("plan")
        asked = [request.path.partition("?")[2] for request in meddler.sent("GET .*/output")]
        assert sorted(asked) == ["offset=29&limit=1", "offset=8999&limit=1"]

    @pytest.mark.parametrize("options", [("--offline",), ("--target", "coding/none*")])
    def test_what_is_not_asked_about_takes_none(
        self, settled: Project, meddler: Meddler, options: tuple[str, ...]
    ) -> None:
        settled.run("plan", *options)
        assert meddler.sent("GET .*/output") == []

    def test_without_files_it_takes_none_and_makes_none(
        self, settled: Project, meddler: Meddler
    ) -> None:
        shutil.rmtree(settled.root / "outputs")
        assert settled.run("plan").err == ""
        assert meddler.sent("GET .*/output") == []
        assert not (settled.root / "outputs").exists()

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: content[: len(content) // 2],
            lambda content: content[: content.rindex(b"\n", 0, -1) + 1],
            lambda content: content + b'{"response":"mine"}\n',
            lambda content: b"",
        ],
        ids=["cut", "shorter", "longer", "empty"],
    )
    def test_a_file_that_was_changed_accuses_nobody(
        self, settled: Project, damage: Callable[[bytes], bytes]
    ) -> None:
        file(settled).write_bytes(damage(file(settled).read_bytes()))
        assert settled.run("plan").err == ""

    def test_what_a_count_tells_is_not_told_twice(self, settled: Project, meddler: Meddler) -> None:
        meddler.changes("GET .*/rollout", _with(lines=ROWS + 5))
        assert "now there are 9,005" in settled.run("plan").err
        assert meddler.sent(ROLLOUT) == []

    @pytest.mark.usefixtures("hurried")
    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            (page(503), "503"),
            (CUT, "/rollout/output: "),
            (answer(404, {"error": "no output here"}), "no output here"),
            (answer(401, {"error": "no such key"}), "no such key"),
            (answer(200, {"output": None}), "no list of output"),
            (answer(200, {"output": []}), "there are 8,999 records where it counts 9,000"),
            (answer(200, {"output": [7]}), "is no object"),
            (Answer(200, b"<html>"), "no JSON object"),
        ],
        ids=["503", "cut", "404", "401", "shapeless", "empty", "numbers", "html"],
    )
    def test_what_cannot_be_compared_fails_no_plan(
        self, settled: Project, meddler: Meddler, fault: Answer, words: str
    ) -> None:
        meddler.on(ROLLOUT, fault)
        planned = settled.run("plan", "--detailed-exitcode")
        assert planned.code == ExitCode.OK
        [warning] = planned.err.splitlines()
        assert warning.startswith("warning: ")
        assert "could not be compared with what was pulled" in warning
        assert words in warning

    def test_apply_warns_before_anybody_is_asked(self, settled: Project, meddler: Meddler) -> None:
        meddler.changes(ROLLOUT, TestChanged.other)
        told: list[str] = []

        def confirm(plan: Plan) -> bool:
            told.append(f"converged: {plan.converged}")
            return True

        where = place(settled.root)
        _, url, _, user = settled.access
        result = apply(
            where,
            load(where).desired,
            Access(api_url=url, user_id=user, environment={"BREAD_API_KEY": KEY}),
            ApplyOptions(),
            confirm=confirm,
            emit=lambda event: None,
            warn=told.append,
        )
        assert told == [CHANGED.removeprefix("warning: ").rstrip("\n"), "converged: True"]
        assert result.exit_code == ExitCode.OK
        assert result.requests == len(meddler.requests)
        assert is_recorded(settled)


def test_bare_strings_become_records(applied: Project, meddler: Meddler) -> None:
    applied.run("pull", "--stage", "stim")
    path = file(applied).with_name("stim.jsonl")
    before = path.read_bytes()
    path.unlink()
    meddler.changes(
        "GET .*/stim/output",
        lambda body: {**body, "output": [each["question"] for each in body["output"]]},
    )
    assert applied.run("pull", "--stage", "stim").code == ExitCode.OK
    assert path.read_bytes() == before


def test_a_service_with_smaller_pages_makes_no_difference(
    applied: Project, pulled: bytes, meddler: Meddler
) -> None:
    def cut(body: Json) -> Json:
        kept = body["output"][:700]
        return {**body, "output": kept, "has_more": body["offset"] + len(kept) < ROWS}

    meddler.changes(ROLLOUT, cut)
    assert applied.run("pull").code == ExitCode.OK
    assert file(applied).read_bytes() == pulled


def test_a_file_that_cannot_grow_is_told_and_gone_on_with(applied: Project, pulled: bytes) -> None:
    env = {"BREAD_API_KEY": KEY}
    options = (*applied.access, "--stage", "rollout")
    found = measured("pull", applied.root, *options, env=env, file_size=500_000)
    assert found.code == ExitCode.ERROR
    assert "rollout.jsonl.part: File too large" in found.err
    assert "Traceback" not in found.err
    assert not is_recorded(applied)
    assert applied.run("pull").code == ExitCode.OK
    assert file(applied).read_bytes() == pulled
