"""``apply`` from end to end: it converges, says so truthfully, and then has nothing more to do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from reconciler.client.direct import DirectTransport
from reconciler.core.errors import ExitCode
from reconciler.lockfile import hold

from .project import Project, target

if TYPE_CHECKING:
    import pytest

    from reconciler.client.transport import Answer

FREELY = {"on_change": "replace", "prevent_destroy": False}


def counts(project: Project, name: str) -> dict[str, tuple[str, int]]:
    block = project.lock["targets"][f"coding/{name}"]
    return {stage: (block[stage]["status"], block[stage]["lines"]) for stage in ("stim", "rollout")}


def test_a_project_converges_and_its_quantities_are_on_record(project: Project) -> None:
    ended = project.run("apply")
    assert ended.code == ExitCode.OK
    assert ended.out.startswith("Converged")
    assert counts(project, "one") == {"stim": ("complete", 4), "rollout": ("complete", 12)}
    assert counts(project, "two") == {"stim": ("complete", 2), "rollout": ("complete", 6)}
    assert project.lock["api_url"] == project.access[1]


def test_a_second_run_sends_no_writes_and_leaves_every_byte(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("apply")
    before, stat = project.lockfile.read_bytes(), project.lockfile.stat()
    methods = watched_methods(monkeypatch)
    ended = project.run("apply")
    assert ended.code == ExitCode.OK
    assert "Nothing to do" in ended.err
    assert set(methods) == {"GET"}
    assert project.lockfile.read_bytes() == before
    assert project.lockfile.stat().st_mtime_ns == stat.st_mtime_ns


def watched_methods(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    methods: list[str] = []
    send = DirectTransport.send

    async def watched(
        transport: DirectTransport, method: str, path: str, body: bytes | None
    ) -> Answer:
        methods.append(method)
        return await send(transport, method, path, body)

    monkeypatch.setattr(DirectTransport, "send", watched)
    return methods


def test_plan_and_status_on_what_was_applied_agree(project: Project) -> None:
    project.run("apply")
    plan = project.run("plan", "--detailed-exitcode", "--format", "json")
    status = project.run("status", "--format", "json")
    assert plan.code == ExitCode.OK
    assert plan.json["converged"] is True
    assert plan.json["actions"] == []
    assert status.json["converged"] is True


def test_a_lost_lockfile_is_a_nuisance_and_no_accident(project: Project) -> None:
    project.run("apply")
    before = project.lockfile.read_bytes()
    project.lockfile.unlink()
    plan = project.run("plan", "--detailed-exitcode")
    assert plan.code == ExitCode.OK
    assert not project.lockfile.exists()
    refresh = project.run("refresh")
    assert refresh.code == ExitCode.OK
    assert project.lockfile.read_bytes() == before
    assert "unchanged" in project.run("refresh").out


def test_applying_without_the_lockfile_adopts_and_starts_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("apply")
    before = project.lockfile.read_bytes()
    project.lockfile.unlink()
    methods = watched_methods(monkeypatch)
    assert project.run("apply").code == ExitCode.OK
    assert set(methods) == {"GET"}
    assert project.lockfile.read_bytes() == before


def test_json_lines_end_with_the_summary(project: Project) -> None:
    ended = project.run("apply", "--format", "json")
    *events, summary = ended.lines
    assert summary["event"] == "summary"
    assert summary["exit_code"] == ended.code == 0
    assert summary["converged"] is True
    stages = {(e["resource"], e["stage"]) for e in events if e["event"] == "complete"}
    assert stages == {(f"coding/{n}", s) for n in ("one", "two") for s in ("stim", "rollout")}
    created = [event["resource"] for event in events if event["event"] == "created"]
    assert created[0] == "coding"
    assert set(created[1:3]) == {"coding/expert", "coding/plain"}


def test_stdout_holds_the_result_and_nothing_else(project: Project) -> None:
    ended = project.run("apply")
    assert ended.out.count("\n") == 1
    assert "to create" in ended.err
    assert "complete" in ended.err
    quiet = project.run("apply", "-q")
    assert quiet.out.count("\n") == 1
    assert quiet.err == ""


def test_without_waiting_the_jobs_go_on_until_a_later_run_finds_them_complete(
    project: Project,
) -> None:
    project.targets(target("one"), target("two", desired={"rollout": "none"}))
    first = project.run("apply", "--no-wait", "--format", "json")
    assert first.code == ExitCode.PENDING
    assert first.lines[-1]["exit_code"] == ExitCode.PENDING
    codes = [project.run("apply", "--no-wait").code for _ in range(20)]
    assert codes[-1] == ExitCode.OK
    assert set(codes) == {ExitCode.PENDING, ExitCode.OK}
    assert codes == sorted(codes, reverse=True)


def test_a_timeout_says_how_far_it_got_and_is_no_error(slow_project: Project) -> None:
    ended = slow_project.run("apply", "--timeout", "1s", "--format", "json")
    assert ended.code == ExitCode.PENDING
    pending = [event for event in ended.lines if event["event"] == "pending"]
    assert [event["resource"] for event in pending] == ["coding/slow"]
    assert "600 lines" in pending[0]["message"]
    assert slow_project.lock["targets"]["coding/slow"]["rollout"]["status"] == "running"
    status = slow_project.run("status", "--format", "json").json
    assert status["converged"] is False
    assert status["targets"][0]["rollout"]["lines"] > 0
    plan = slow_project.run("plan", "--detailed-exitcode", "--format", "json")
    assert plan.code == ExitCode.PENDING
    assert [(a["action"], a["stage"]) for a in plan.json["actions"]] == [("wait", "rollout")]


def test_a_failing_job_is_blocked_with_the_sentence_of_the_service(project: Project) -> None:
    broken = {"generators": [{"type": "from_dataset", "dataset": "nowhere"}]}
    project.targets(target("one"), target("broken", spec=broken))
    ended = project.run("apply", "--format", "json")
    assert ended.code == ExitCode.BLOCKED
    locked = project.lock["targets"]["coding/broken"]["stim"]
    assert locked["status"] == "failed"
    assert locked["attempts"] == 2
    assert "nowhere" in locked["error"]
    blocked = [event["message"] for event in ended.lines if event["event"] == "blocked"]
    assert any(locked["error"] in message for message in blocked)
    assert counts(project, "one")["rollout"] == ("complete", 12)
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.BLOCKED
    assert project.run("plan").code == ExitCode.OK
    again = project.run("apply")
    assert again.code == ExitCode.BLOCKED
    assert project.lock["targets"]["coding/broken"]["stim"] == locked


def test_an_immutable_change_is_blocked_and_revised_when_allowed(project: Project) -> None:
    project.run("apply")
    before = project.lockfile.read_bytes()
    project.targets(target("one", spec={"max_tokens": 41}), target("two", questions=2))
    blocked = project.run("apply")
    assert blocked.code == ExitCode.BLOCKED
    assert "max_tokens" in blocked.err
    assert project.lockfile.read_bytes() == before
    policy = {"on_change": "revise"}
    project.targets(
        target("one", spec={"max_tokens": 41}, policy=policy), target("two", questions=2)
    )
    assert project.run("apply").code == ExitCode.OK
    entry = project.lock["targets"]["coding/one"]
    assert entry["live_name"] == f"one-{entry['digest'].removeprefix('sha256:')[:8]}"
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_replacing_needs_permission_on_the_command_line_too(project: Project) -> None:
    project.targets(target("one", policy=FREELY))
    project.run("apply")
    project.targets(target("one", policy=FREELY, spec={"max_tokens": 41}))
    assert project.run("apply").code == ExitCode.BLOCKED
    allowed = project.run("apply", "--allow-destroy", "--format", "json")
    assert allowed.code == ExitCode.OK
    assert [event["resource"] for event in allowed.lines if event["event"] == "deleted"]
    assert project.lock["targets"]["coding/one"]["live_name"] == "one"


def test_an_orphan_is_shown_and_deleted_only_with_every_permission(project: Project) -> None:
    project.targets(target("one"), target("two", policy={"prevent_destroy": False}))
    project.run("apply")
    project.targets(target("one"))
    plan = project.run("plan", "--detailed-exitcode")
    assert plan.code == ExitCode.OK
    assert "coding/two" in plan.out
    assert project.run("apply").code == ExitCode.OK
    assert "coding/two" in project.lock["targets"]
    assert project.run("apply", "--prune").code == ExitCode.BLOCKED
    assert project.run("apply", "--prune", "--allow-destroy").code == ExitCode.OK
    assert set(project.lock["targets"]) == {"coding/one"}
    assert "coding/two" not in project.run("plan").out


def test_a_protected_orphan_survives_every_permission(project: Project) -> None:
    project.run("apply")
    project.targets(target("one"))
    ended = project.run("apply", "--prune", "--allow-destroy")
    assert ended.code == ExitCode.BLOCKED
    assert "coding/two" in project.lock["targets"]


def test_an_orphaned_prompt_is_forgotten_when_pruned(project: Project) -> None:
    extra = """\
    apiVersion: reconciler/v1
    kind: Prompt
    metadata: {repo: coding, name: extra}
    spec: {messages: []}
    """
    project.write("extra.yaml", extra)
    project.run("apply")
    assert "coding/extra" in project.lock["prompts"]
    (project.root / "extra.yaml").unlink()
    assert project.run("apply").code == ExitCode.OK
    assert "coding/extra" in project.lock["prompts"]
    assert project.run("apply", "--prune", "--allow-destroy").code == ExitCode.OK
    assert "coding/extra" not in project.lock["prompts"]
    assert "extra" not in project.run("plan").out


def test_the_budget_is_a_wall(project: Project) -> None:
    budget = """\
    apiVersion: reconciler/v1
    kind: Project
    metadata: {name: small}
    spec: {budget: {max_new_trajectories: 17}}
    """
    project.write("project.yaml", budget)
    ended = project.run("apply")
    assert ended.code == ExitCode.BLOCKED
    assert "17" in ended.err
    assert "18" in ended.err
    assert not project.lockfile.exists()


def test_a_second_run_at_the_same_time_is_turned_away(project: Project) -> None:
    with hold(project.root):
        for command in ("apply", "refresh"):
            ended = project.run(command)
            assert ended.code == ExitCode.LOCKED
            assert "another run" in ended.err
            assert ended.out == ""
        assert project.run("plan").code == ExitCode.OK
    assert not project.lockfile.exists()


def test_a_second_run_can_be_patient(project: Project) -> None:
    with hold(project.root):
        ended = project.run("refresh", "--lock-timeout", "1s")
    assert ended.code == ExitCode.LOCKED
    assert "Waiting for another run to end (process " in ended.err


def test_a_lockfile_elsewhere_is_used(project: Project) -> None:
    elsewhere = project.root.parent / "elsewhere.lock"
    assert project.run("apply", "--lockfile", str(elsewhere)).code == ExitCode.OK
    assert elsewhere.exists()
    assert not project.lockfile.exists()


def test_one_file_is_a_project_with_its_lockfile_beside_it(project: Project) -> None:
    both = project.root / "all.yaml"
    parts = [project.root / "prompts.yaml", project.root / "targets.yaml"]
    both.write_text("---\n".join(part.read_text() for part in parts))
    project.root = both
    assert project.run("apply").code == ExitCode.OK
    assert (both.parent / "reconciler.lock").exists()


def test_local_and_the_quickstart_work_without_any_set_up(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BREAD_API_KEY")
    first = project.run("apply", access=("--local",))
    assert first.code == ExitCode.OK
    assert project.lock["api_url"] == "local"
    before = project.lockfile.read_bytes()
    again = project.run("apply", access=("--local",))
    assert again.code == ExitCode.OK
    assert "Nothing to do" in again.err
    assert project.lockfile.read_bytes() == before
    shutil.rmtree(project.root / ".reconciler")
    assert project.run("plan", "--detailed-exitcode", access=("--local",)).code == ExitCode.PENDING


def test_the_lockfile_holds_no_key(project: Project) -> None:
    project.run("apply")
    assert project.environment["BREAD_API_KEY"] not in project.lockfile.read_text()


@pytest.mark.parametrize("command", ["plan", "apply", "status"])
def test_an_api_that_is_away_is_told_at_one_glance(project: Project, command: str) -> None:
    project.targets(*(target(f"t{number}") for number in range(40)))
    ended = project.run(command, access=("--api-url", "http://127.0.0.1:9"))
    assert ended.code == ExitCode.ERROR
    text = ended.out + ended.err
    assert "Live state could not be read for 43 resources" in text
    assert " ".join(text.split()).count("connection refused") == 1
    if command != "status":  # which is a table of all targets, whatever is known of them
        assert text.count("\n") < 10
