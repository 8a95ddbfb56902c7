"""The command line as a process: signals, terminals, pipes, and two of them at once."""

from __future__ import annotations

import os
import pty
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from reconciler.core.errors import ExitCode

from .project import Ended, Project, outcome, process, target

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 60.0


def wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)


def is_running(project: Project) -> bool:
    """Return whether the lockfile says that the rollout runs."""
    if not project.lockfile.exists():
        return False
    stages = project.lock["targets"].get("coding/slow", {})
    return bool(stages.get("rollout", {}).get("status") == "running")


def assert_whole(project: Project) -> None:
    """Check that the lockfile can be used, and that nothing is left beside it."""
    assert project.lock["version"] == 1
    beside = {path.name for path in project.root.iterdir()}
    assert beside == {"prompts.yaml", "targets.yaml", "reconciler.lock", ".reconciler"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_leaves_what_it_knows(
    slow_project: Project, how: signal.Signals
) -> None:
    running = slow_project.start("apply")
    wait_for(lambda: is_running(slow_project))
    time.sleep(0.5)
    running.send_signal(how)
    ended = outcome(running)
    assert ended.code == ExitCode.INTERRUPTED
    assert "Interrupted" in ended.out
    assert "Traceback" not in ended.err
    assert_whole(slow_project)
    rollout = slow_project.lock["targets"]["coding/slow"]["rollout"]
    assert (rollout["status"], rollout["expected"]) == ("running", 600)
    assert rollout["lines"] > 0


def test_an_interrupted_local_run_ends_its_service_and_goes_on_later(project: Project) -> None:
    project.access = ("--local",)
    project.targets(target("slow", questions=100, trajectories=2000))
    running = project.start("apply")
    wait_for(lambda: is_running(project))
    running.send_signal(signal.SIGINT)
    ended = outcome(running)
    assert ended.code == ExitCode.INTERRUPTED
    assert "Traceback" not in ended.err
    assert_whole(project)
    project.targets(target("slow", questions=100, trajectories=2000, desired={"rollout": "none"}))
    assert project.run("apply").code == ExitCode.OK


def test_a_killed_run_loses_nothing_and_frees_the_lock(slow_project: Project) -> None:
    running = slow_project.start("apply")
    wait_for(lambda: is_running(slow_project))
    running.kill()
    outcome(running)
    assert slow_project.lock["targets"]["coding/slow"]["stim"]["status"] == "complete"
    again = slow_project.run("apply", "--no-wait", "--format", "json")
    assert again.code == ExitCode.PENDING
    assert not [event for event in again.lines if event["event"] in {"created", "started"}]


def test_of_two_runs_at_once_the_second_is_turned_away(slow_project: Project) -> None:
    first = slow_project.start("apply")
    wait_for(lambda: is_running(slow_project))
    second = slow_project.run("apply")
    assert second.code == ExitCode.LOCKED
    assert f"process {first.pid}" in second.err
    assert second.out == ""
    first.send_signal(signal.SIGINT)
    assert outcome(first).code == ExitCode.INTERRUPTED


def test_the_module_is_the_command(project: Project) -> None:
    ended = outcome(process("validate", str(project.root), env={}))
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    assert ended.out.startswith("Valid")


def test_a_reader_that_has_gone_is_no_reason_to_complain(project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as gone:  # noqa: PTH123 - a descriptor, no path
        running = process("schema", env={}, stdout=gone)
        ended = outcome(running)
    assert "Traceback" not in ended.err
    assert "Exception" not in ended.err
    assert "internal error" not in ended.err


def on_terminal(project: Project, command: str, *options: str, typed: str = "") -> Ended:
    """Run a command with a terminal for all its streams; return what that showed."""
    master, slave = pty.openpty()
    environment = {**project.environment, "TERM": "xterm-256color"}
    running = process(
        command,
        str(project.root),
        *project.access,
        *options,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    os.write(master, typed.encode())
    shown = b""
    try:
        while part := os.read(master, 4096):
            shown += part
    except OSError:  # what reading a terminal ends with when nobody writes any more
        pass
    finally:
        os.close(master)
    return Ended(running.wait(SECONDS), shown.decode(), "")


COLOUR = re.compile(r"\x1b\[\d+m")


def test_colour_is_for_terminals_and_for_who_wants_it(project: Project) -> None:
    assert COLOUR.search(on_terminal(project, "plan").out)
    assert "\x1b" not in on_terminal(project, "plan", "--no-color").out
    project.environment = {**project.environment, "NO_COLOR": "1"}
    assert "\x1b" not in on_terminal(project, "plan").out
    assert "\x1b" not in outcome(project.start("plan")).out


def test_on_a_terminal_nothing_happens_without_consent(project: Project) -> None:
    declined = on_terminal(project, "apply", typed="n\n")
    assert "Apply this plan?" in declined.out
    assert declined.code != ExitCode.OK
    assert not project.lockfile.exists()
    assert project.run("plan", "--format", "json").json["summary"]["create"] == 5
    agreed = on_terminal(project, "apply", typed="y\n")
    assert agreed.code == ExitCode.OK
    assert "Converged" in agreed.out
    assert project.lock["targets"]


def test_consent_can_be_given_in_advance(project: Project) -> None:
    ended = on_terminal(project, "apply", "--yes")
    assert ended.code == ExitCode.OK
    assert "Apply this plan?" not in ended.out


class Served:
    """A service as ``reconciler serve`` runs it."""

    def __init__(self, project: Project, *options: str, key: str | None) -> None:
        environment = {"BREAD_API_KEY": key} if key else {}
        data = ("--data", str(project.root.parent / "data"), "--port", "0")
        self.running = process("serve", *data, *options, env=environment)
        assert self.running.stderr is not None
        self.first = self.running.stderr.readline()

    @property
    def url(self) -> str:
        return self.first.removeprefix("listening on ").strip()

    def ended(self) -> Ended:
        """Wait for its end; what was read already is part of what it wrote."""
        with self.running as running:
            assert running.stdout is not None
            assert running.stderr is not None
            out, err = running.stdout.read(), running.stderr.read()
        return Ended(running.returncode, out, self.first + err)

    def stop(self) -> Ended:
        self.running.send_signal(signal.SIGINT)
        return self.ended()


@pytest.fixture
def serve(project: Project) -> Callable[..., Served]:
    return lambda *options, key=None: Served(project, *options, key=key)


def test_serve_says_where_and_works_with_the_address(
    project: Project, serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(key="a-key")
    try:
        assert re.fullmatch(r"listening on http://127\.0\.0\.1:\d+\n", served.first)
        monkeypatch.setenv("BREAD_API_KEY", "a-key")
        ended = project.run("apply", access=("--api-url", served.url))
    finally:
        stopped = served.stop()
    assert ended.code == ExitCode.OK
    assert (stopped.code, stopped.out) == (ExitCode.OK, "")
    assert "a-key" not in stopped.err


def test_serve_without_a_key_makes_one_and_shows_how_to_use_it(
    project: Project, serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    assert served.running.stderr is not None
    remarks = [served.running.stderr.readline() for _ in range(3)]
    exports = dict(re.findall(r"export (\w+)=(\S+)", "".join(remarks)))
    for name, value in exports.items():
        monkeypatch.setenv(name, value)
    ended = project.run("plan", access=())
    served.stop()
    assert exports["BREAD_BASE_URL"] == served.url
    assert ended.code == ExitCode.OK


def test_serve_refuses_the_world_without_a_key(serve: Callable[..., Served]) -> None:
    served = serve("--host", "0.0.0.0")
    ended = served.ended()
    assert ended.code == ExitCode.ERROR
    assert "without a key" in ended.err
    assert ended.out == ""


def test_what_a_kill_interrupted_is_taken_up_by_the_next_serve(
    project: Project, serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREAD_API_KEY", "a-key")
    project.targets(target("slow", questions=1, trajectories=40, spec={"max_concurrency": 1}))
    first = serve("--pace", "0.05", key="a-key")
    try:
        pending = project.run("apply", "--timeout", "1s", access=("--api-url", first.url))
    finally:
        first.running.kill()
        first.ended()
    assert pending.code == ExitCode.PENDING
    project.lockfile.unlink()  # it names the address of the first one
    second = serve(key="a-key")
    try:
        ended = project.run("apply", "--format", "json", access=("--api-url", second.url))
    finally:
        second.stop()
    assert ended.code == ExitCode.OK
    assert not [event for event in ended.lines if event["event"] == "started"]
    assert project.lock["targets"]["coding/slow"]["rollout"]["lines"] == 40


def test_a_taken_port_is_told_with_a_way_out(serve: Callable[..., Served]) -> None:
    first = serve(key="a-key")
    second = serve("--port", first.url.rpartition(":")[2], key="a-key")
    ended = second.ended()
    first.stop()
    assert ended.code == ExitCode.ERROR
    assert "--port" in ended.err
