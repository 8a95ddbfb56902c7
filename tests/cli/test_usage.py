"""Words, options and endings: what the command line answers to whatever it is given."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from reconciler import __version__, schema_files
from reconciler.cli import failures
from reconciler.cli.root import COMMANDS
from reconciler.core.errors import ExitCode
from reconciler.workflow.connection import SystemClock

from .project import PROMPTS, Project, ended, target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .project import Ended


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    return lambda *arguments: ended(capsys, *arguments)


def test_every_command_explains_itself(cli: Callable[..., Ended]) -> None:
    overview = cli("--help")
    assert overview.code == ExitCode.OK
    for command in COMMANDS:
        assert command in overview.out
        explained = cli(command, "--help")
        assert explained.code == ExitCode.OK
        assert explained.out.startswith(f"Usage: reconciler {command}")
        assert explained.err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_what_says_how_much_is_told(
    cli: Callable[..., Ended], command: str
) -> None:
    taken = cli(command, "-v", "-q", "--no-color", "--help")
    assert taken.code == ExitCode.OK
    assert all(flag in taken.out for flag in ("--verbose", "--quiet", "--no-color"))


def test_the_version_is_told(cli: Callable[..., Ended]) -> None:
    assert cli("--version").out == f"reconciler {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["aply"], "apply"),
        (["plann", "."], "plan"),
        (["refersh"], "refresh"),
        (["apply", "--paralelism", "3"], "--parallelism"),
        (["plan", "--detailed-exit-code"], "--detailed-exitcode"),
        (["schema", "manifset"], "manifest"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_right_one(
    cli: Callable[..., Ended], arguments: list[str], meant: str
) -> None:
    result = cli(*arguments)
    assert result.code == ExitCode.USAGE
    assert meant in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["apply", "--timeout", "soon"],
        ["apply", "--timeout", "0s"],
        ["apply", "--parallelism", "0"],
        ["apply", "--parallelism", "many"],
        ["apply", "--format", "xml"],
        ["apply", "one", "two"],
        ["apply", "--timeout"],
        ["serve", "--port", "65536"],
        ["serve", "--pace", "-1"],
        ["schema", "nonsense"],
    ],
)
def test_wrong_usage_has_its_own_code(cli: Callable[..., Ended], arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.code == ExitCode.USAGE
    assert result.err
    assert result.out == ""
    assert "Traceback" not in result.err


def test_local_and_an_address_exclude_each_other(project: Project) -> None:
    result = project.run("plan", "--local")
    assert result.code == ExitCode.USAGE
    assert "--local" in result.err


@pytest.mark.parametrize("command", ["plan", "apply", "status", "refresh"])
def test_with_neither_key_nor_local_both_ways_out_are_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("BREAD_API_KEY")
    result = project.run(command, access=())
    assert result.code == ExitCode.ERROR
    assert "BREAD_API_KEY" in result.err
    assert "--local" in result.err
    assert result.out == ""
    assert not project.lockfile.exists()


@pytest.mark.parametrize(
    "url", ["http://example.com", "ftp://x", "nonsense", "https://[::1", "https://host:port"]
)
@pytest.mark.parametrize("where", ["option", "environment"])
def test_an_address_unfit_for_a_key_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, url: str, where: str
) -> None:
    if where == "environment":
        monkeypatch.setenv("BREAD_BASE_URL", url)
    result = project.run("plan", access=("--api-url", url) if where == "option" else ())
    assert result.code == ExitCode.USAGE
    assert url in result.err


def test_plain_http_is_possible_for_who_insists(project: Project) -> None:
    access = ("--api-url", "http://192.0.2.1:9", "--allow-http")
    refused = project.run("plan", access=access[:2])
    assert "--allow-http" in refused.err


def test_a_declared_address_is_overridden_by_environment_and_option(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = """\
    apiVersion: reconciler/v1
    kind: Project
    metadata: {name: p}
    spec: {api_url: "http://127.0.0.1:1"}
    """
    project.write("project.yaml", declared)
    url = project.access[1]
    assert project.run("plan").code == ExitCode.OK
    monkeypatch.setenv("BREAD_BASE_URL", url)
    assert project.run("plan", access=project.access[2:]).code == ExitCode.OK


def test_a_wrong_key_is_an_error_with_a_hint(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREAD_API_KEY", "wrong-key-of-this-test")
    for command in ("plan", "apply", "status", "refresh"):
        result = project.run(command)
        assert result.code == ExitCode.ERROR
        assert "Invalid API key" in result.err
        assert "BREAD_API_KEY" in result.err
        assert "wrong-key-of-this-test" not in result.err + result.out
    assert not project.lockfile.exists()


@pytest.mark.parametrize("key", ["very-secret\n", "very\nsecret", "very-sécret"])
def test_a_key_with_a_stray_character_is_never_shown(
    project: Project, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("BREAD_API_KEY", key)
    result = project.run("plan")
    assert result.code == ExitCode.ERROR
    assert "internal error" not in result.err
    assert "cret" not in result.err + result.out


def test_acting_for_another_user_needs_the_master_key(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREAD_API_KEY", "some-key")
    result = project.run("plan")
    assert result.code == ExitCode.ERROR
    assert "master key" in result.err


def test_an_unreachable_api_is_an_error_and_changes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemClock, "sleep", lambda *_: asyncio.sleep(0))
    project.run("apply")
    before = project.lockfile.read_bytes()
    dead = ("--api-url", "http://127.0.0.1:9", "--lockfile", str(project.root / "other.lock"))
    result = project.run("plan", "--format", "json", access=dead)
    assert result.code == ExitCode.ERROR
    assert result.json["converged"] is False
    assert result.json["actions"] == []
    assert {item["resource"] for item in result.json["unreadable"]} >= {"coding/one", "coding/two"}
    assert project.lockfile.read_bytes() == before


def test_the_plan_is_what_its_schema_says(project: Project) -> None:
    checker = Draft202012Validator(dict(schema_files.load("plan")))
    before = project.run("plan", "--format", "json")
    checker.validate(before.json)
    assert before.err == ""
    assert before.json["summary"]["create"] == 5
    assert before.json["summary"]["run"] == 4
    assert before.json["estimate"] == {
        "stim_lines": 6,
        "trajectories": 18,
        "max_output_tokens": 720,
    }
    project.run("apply")
    project.targets(target("one", spec={"max_tokens": 7}))
    after = project.run("plan", "--format", "json", "--prune")
    checker.validate(after.json)
    assert after.json["digest"] != before.json["digest"]
    diffs = [action["diff"] for action in after.json["actions"] if action["diff"]]
    assert diffs == [[{"path": "max_tokens", "old": 40, "new": 7}]]


def test_the_exit_code_of_a_plan_is_detailed_on_request(project: Project) -> None:
    assert project.run("plan").code == ExitCode.OK
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.PENDING
    project.run("apply")
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK
    project.targets(target("one", spec={"max_tokens": 7}), target("three"))
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.BLOCKED
    assert project.run("plan").code == ExitCode.OK


def test_a_plan_changes_nothing(project: Project) -> None:
    project.run("plan")
    project.run("status")
    assert not project.lockfile.exists()
    assert project.run("plan", "--format", "json").json["summary"]["create"] == 5


def test_the_same_plan_has_the_same_digest(project: Project) -> None:
    first, second = (project.run("plan", "--format", "json").json for _ in range(2))
    assert first == second


def test_status_tells_every_stage_in_text_and_json(project: Project) -> None:
    before = project.run("status", "--format", "json").json
    assert [row["stim"]["status"] for row in before["targets"]] == ["missing", "missing"]
    project.run("apply")
    text = project.run("status")
    assert text.code == ExitCode.OK
    assert "12 / 12" in text.out
    after = project.run("status", "--format", "json").json
    assert after["converged"] is True
    row = next(row for row in after["targets"] if row["resource"] == "coding/one")
    assert row["rollout"] == {
        "status": "complete",
        "lines": 12,
        "expected": 12,
        "wanted": 1,
        "settled": True,
    }


def test_validate_needs_neither_key_nor_network(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BREAD_API_KEY")
    result = project.run("validate", access=())
    assert (result.code, result.err) == (ExitCode.OK, "")
    assert "2 targets" in result.out
    assert project.run("validate", "--format", "json", access=()).json["valid"] is True


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "status", "refresh"])
def test_all_problems_of_all_manifests_come_at_once_with_their_places(
    project: Project, command: str
) -> None:
    project.targets(
        target("one", spec={"temprature": 1}), target("two", spec={"teacher_prompt": "exprt"})
    )
    result = project.run(command, access=() if command == "validate" else None)
    assert result.code == ExitCode.INVALID
    assert result.out == ""
    assert "temperature" in result.err
    assert "expert" in result.err
    places = [line for line in result.err.splitlines() if "targets.yaml:" in line]
    assert len(places) == 2
    assert all(len(place.split(": ")[0].split(":")) >= 3 for place in places)


def test_errors_and_warnings_are_counted_apart(project: Project) -> None:
    project.targets(
        target("one", spec={"temprature": 1}),
        target("two", spec={"teacher_prompt": None, "u": "expert"}),
        target("three", spec={"student_prompt": None, "v": "plain"}),
    )
    told = project.run("validate", access=()).err
    assert told.endswith("error: the manifests are not valid (1 error, 2 warnings)\n")
    project.targets(target("one", spec={"temprature": 1, "max_tokns": 2}))
    told = project.run("validate", access=()).err
    assert told.endswith("error: the manifests are not valid (2 errors)\n")


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "status", "init"])
def test_a_working_directory_that_is_gone_is_told_calmly(
    cli: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = cli(command)
    assert result.code == ExitCode.INVALID
    assert result.out == ""
    assert "error: the working directory is gone\n" in result.err
    assert "internal error" not in result.err


def test_invalid_manifests_as_json(project: Project) -> None:
    project.targets(target("one", spec={"temprature": 1}))
    result = project.run("validate", "--format", "json", access=())
    assert result.code == ExitCode.INVALID
    assert result.json["valid"] is False
    (problem,) = result.json["problems"]
    assert problem["file"].endswith("targets.yaml")
    assert problem["line"] > 1


def test_warnings_go_to_stderr_and_stop_nothing(project: Project) -> None:
    project.targets(target("one", spec={"teacher_prompt": None, "u": "expert"}))
    result = project.run("validate", access=())
    assert result.code == ExitCode.OK
    assert "teacher_prompt" in result.err
    assert "warning" in result.err
    assert "warning" not in result.out
    assert project.run("validate", "-q", access=()).err == ""


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_a_path_without_manifests_is_invalid(
    project: Project, tmp_path: Path, command: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (empty, tmp_path / "nowhere"):
        project.root = path
        result = project.run(command, access=() if command == "validate" else None)
        assert result.code == ExitCode.INVALID
        assert str(path.name) in result.err
    assert list(empty.iterdir()) == []


OFFLINE = [("validate",), ("plan", "--offline"), ("report", "--offline")]
READING = [*OFFLINE, ("plan",), ("apply",), ("status",), ("refresh",), ("pull",), ("destroy",)]


@pytest.mark.parametrize("command", READING, ids=" ".join)
@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/below", "loop", "loop/below"])
def test_a_path_that_cannot_be_followed_is_invalid(
    project: Project, command: tuple[str, ...], name: str
) -> None:
    (project.root / "loop").symlink_to("loop")
    project.root /= name
    result = project.run(*command, access=() if command in OFFLINE else None)
    assert (result.code, result.out) == (ExitCode.INVALID, "")
    assert f"{name}:1:1: this cannot be read: " in result.err
    assert "internal" not in result.err


@pytest.fixture
def powerless() -> Iterator[Callable[[], None]]:
    """Give a function after which this process may do no more than any user, while a test lasts."""
    user = os.geteuid()
    yield lambda: os.seteuid(user or 65534)
    os.seteuid(user)


@pytest.mark.parametrize("place", ["closed/project", "closed", "project/targets.yaml"])
@pytest.mark.parametrize("command", OFFLINE, ids=" ".join)
def test_a_path_that_may_not_be_read_is_invalid(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    powerless: Callable[[], None],
    place: str,
    command: tuple[str, ...],
) -> None:
    assert project.run(*command, access=()).code == ExitCode.OK  # imports what it needs
    top = project.root.parent
    monkeypatch.chdir(top)
    closed = top / "closed"
    closed.mkdir()
    shutil.copytree("project", closed / "project")
    for path, mode in ((top, 0o755), (closed, 0), (top / "project/targets.yaml", 0)):
        path.chmod(mode)
    project.root = Path(place)
    powerless()
    result = project.run(*command, access=())
    assert (result.code, result.out) == (ExitCode.INVALID, "")
    assert f"{place}:1:1: this " in result.err
    assert "cannot be read: Permission denied" in result.err


@pytest.mark.parametrize(
    "options",
    [
        ("apply", "--metrics-file", "x" * 300 + "/y"),
        ("import", "--bgit", "x" * 300),
        ("import", "--bgit", "nowhere"),
        ("serve", "--datasets", "nowhere"),
        ("serve", "--rehearse", "x" * 300),
    ],
    ids=lambda options: " ".join(options)[:30],
)
def test_what_an_option_names_and_cannot_be_read_is_wrong_usage(
    cli: Callable[..., Ended], options: tuple[str, ...]
) -> None:
    result = cli(*options)
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert options[1] in result.err


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG, errno.ELOOP])
def test_what_the_system_refuses_is_no_fault_of_the_program(
    capsys: pytest.CaptureFixture[str], number: int
) -> None:
    assert failures.report(OSError(number, "No", "some/\x1bfile")) == ExitCode.ERROR
    told = capsys.readouterr().err
    assert told.startswith("error: some/")
    assert told.endswith("file: No\n")
    assert "\x1b" not in told


@pytest.mark.parametrize("command", ["plan", "apply", "status", "refresh"])
@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda text: text.replace("version: 1", "version: 2"), "newer"),
        (lambda text: text.replace("127.0.0.1", "127.0.0.2"), "127.0.0.2"),
        (lambda text: text.replace("complete", "[", 1), "YAML"),
        (lambda text: text.replace("lines: 4", "lines: many"), "many"),
    ],
    ids=["newer", "foreign", "no yaml", "schema"],
)
def test_a_lockfile_that_cannot_be_used_stops_and_says_how_to_go_on(
    applied: Project, command: str, damage: Callable[[str], str], word: str
) -> None:
    good = applied.lockfile.read_text()
    damaged = damage(good)
    applied.lockfile.write_text(damaged)
    try:
        result = applied.run(command)
        assert result.code == ExitCode.INVALID
        assert result.out == ""
        assert word in result.err
        assert "refresh" in result.err or "Upgrade" in result.err
        assert applied.lockfile.read_text() == damaged
    finally:
        applied.lockfile.write_text(good)


def test_conflict_markers_stop_everything_but_refresh_which_mends_them(applied: Project) -> None:
    good = applied.lockfile.read_text()
    lines = good.splitlines(keepends=True)
    conflict = ["<<<<<<< ours\n", lines[-1], "=======\n", lines[-1], ">>>>>>> theirs\n"]
    applied.lockfile.write_text("".join([*lines[:-1], *conflict]))
    for command in ("plan", "apply", "status"):
        result = applied.run(command)
        assert result.code == ExitCode.INVALID
        assert "reconciler refresh" in result.err
    mended = applied.run("refresh", "--format", "json")
    assert mended.code == ExitCode.OK
    assert mended.json["changed"] is True
    assert applied.lockfile.read_text() == good


@pytest.fixture
def applied(project: Project) -> Project:
    assert project.run("apply").code == ExitCode.OK
    return project


@pytest.mark.parametrize("name", ["manifest", "lockfile", "plan", "api", "manifest.v1"])
def test_schemas_are_printed_as_they_are(cli: Callable[..., Ended], name: str) -> None:
    result = cli("schema", name)
    assert result.code == ExitCode.OK
    Draft202012Validator.check_schema(json.loads(result.out))
    assert result.out == schema_files.text(name)
    for form in ("json", "text"):
        assert cli("schema", name, "-q", "--format", form) == result


def test_control_sequences_of_others_do_not_reach_the_terminal(project: Project) -> None:
    evil = {"generators": [{"type": "from_dataset", "dataset": "\x1b[2J\x1b]0;owned\x07x"}]}
    project.targets(target("one", spec=evil))
    for command in ("plan", "apply", "status"):
        result = project.run(command)
        assert "\x1b" not in result.out + result.err
        assert "\x07" not in result.out + result.err


def test_names_that_yaml_would_take_for_something_else_survive_the_lockfile(
    project: Project,
) -> None:
    manifests = PROMPTS.replace("name: expert", 'name: "1e3"').replace("name: plain", 'name: "no"')
    project.write("prompts.yaml", manifests)
    odd = {"teacher_prompt": "1e3", "student_prompt": "no"}
    project.targets(target("123", spec=odd), target("null", spec=odd))
    assert project.run("apply").code == ExitCode.OK
    assert set(project.lock["targets"]) == {"coding/123", "coding/null"}
    assert project.lock["targets"]["coding/123"]["live_name"] == "123"
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


@pytest.mark.parametrize("command", ["plan", "apply", "status", "refresh", "destroy"])
def test_a_lockfile_that_is_a_link_out_of_the_project_must_be_named(
    applied: Project, command: str
) -> None:
    outside = applied.root.parent / "outside.lock"
    applied.lockfile.rename(outside)
    applied.lockfile.symlink_to(outside)
    before = outside.read_bytes()
    refused = applied.run(command)
    assert (refused.code, refused.out) == (ExitCode.INVALID, "")
    assert "leads out of" in refused.err
    assert "--lockfile" in refused.err
    assert outside.read_bytes() == before
    assert applied.lockfile.is_symlink()
    assert applied.run("plan", "--lockfile", str(applied.lockfile)).code == ExitCode.OK


def test_a_lockfile_may_be_a_link_within_the_project(applied: Project) -> None:
    inside = applied.root / "locks" / "mine.lock"
    inside.parent.mkdir()
    applied.lockfile.rename(inside)
    applied.lockfile.symlink_to(inside)
    assert applied.run("plan", "--detailed-exitcode").code == ExitCode.OK
    applied.lockfile.unlink()
    applied.lockfile.symlink_to(applied.lockfile)
    assert applied.run("plan").code != ExitCode.OK
