"""Signals: a run that is told to stop stops soon, loses nothing, and is taken up again later."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from processes import SAME_CODE

from reconciler.core.errors import ExitCode

from .project import Ended, Project, outcome, target
from .test_json_events import check_lines
from .test_processes import assert_whole, is_running, on_terminal, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

#: As a person's shell starts a command, whatever the signals of who runs the tests.
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from reconciler.cli import main; main()"
)
#: Seconds within which an interrupt has to have its effect, on a busy machine.
SOON = 15.0


def start(
    *arguments: str, stdin: int = subprocess.DEVNULL, output: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Run a command with default signals, in a session of its own."""
    environment = {"PATH": os.environ["PATH"], **SAME_CODE, "TERM": "xterm"}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        env={**environment, "BREAD_API_KEY": os.environ["BREAD_API_KEY"]},
        text=True,
        start_new_session=True,
        stdin=stdin,
        stdout=output,
        stderr=output,
    )


def on(project: Project, command: str, *options: str) -> subprocess.Popen[str]:
    return start(command, str(project.root), *project.access, *options)


def stop(running: subprocess.Popen[str], *signals: signal.Signals) -> tuple[Ended, float]:
    """Send signals, one shortly after the other; return how that ended, and after how long."""
    begun = time.monotonic()
    for number in signals:
        running.send_signal(number)
        time.sleep(0.02)
    return outcome(running), time.monotonic() - begun


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_soon_with_the_summary_and_the_next_run_goes_on(
    slow_project: Project, how: signal.Signals
) -> None:
    running = on(slow_project, "apply", "--format", "json")
    wait_for(lambda: is_running(slow_project))
    ended, seconds = stop(running, how)
    assert (ended.code, ended.err) == (ExitCode.INTERRUPTED, "")
    assert seconds < SOON
    check_lines(ended)
    # A repo and two prompts are there, the target is under way.
    counts = {"converged": 3, "pending": 1, "blocked": 0, "errors": 0}
    assert ended.lines[-1]["resources"] == counts
    assert ended.lines[-1]["requests"] > 5
    assert_whole(slow_project)
    again = slow_project.run("apply", "--no-wait", "--format", "json")
    assert again.code == ExitCode.PENDING
    assert not [event for event in again.lines if event["event"] in {"created", "started"}]


def test_a_run_that_was_interrupted_is_finished_by_the_next_one(slow_project: Project) -> None:
    slow_project.targets(target("slow", questions=1, trajectories=30, spec={"max_concurrency": 2}))
    running = on(slow_project, "apply")
    wait_for(lambda: is_running(slow_project))
    assert stop(running, signal.SIGINT)[0].code == ExitCode.INTERRUPTED
    assert slow_project.run("apply").code == ExitCode.OK
    assert slow_project.lock["targets"]["coding/slow"]["rollout"]["lines"] == 30


@pytest.mark.parametrize("options", [(), ("--format", "json")])
def test_a_second_interrupt_ends_at_once_and_quietly(
    slow_project: Project, options: tuple[str, ...]
) -> None:
    running = on(slow_project, "apply", *options)
    wait_for(lambda: is_running(slow_project))
    ended, seconds = stop(running, signal.SIGINT, signal.SIGINT, signal.SIGINT)
    assert ended.code == ExitCode.INTERRUPTED
    assert seconds < SOON
    assert "Traceback" not in ended.err
    assert "internal error" not in ended.err
    assert_whole(slow_project)


@contextmanager
def api_that_never_answers() -> Iterator[tuple[str, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield f"http://127.0.0.1:{server.getsockname()[1]}", server


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["plan", "refresh", "apply"])
def test_who_waits_for_an_answer_can_be_interrupted(
    project: Project, command: str, how: signal.Signals
) -> None:
    with api_that_never_answers() as (url, server):
        running = start(command, str(project.root), "--api-url", url)
        asked, _ = server.accept()
        with asked:
            time.sleep(0.1)
            ended, seconds = stop(running, how)
    assert ended.code == ExitCode.INTERRUPTED
    assert "Interrupted" in ended.out + ended.err
    assert "Traceback" not in ended.err
    assert seconds < SOON
    assert not project.lockfile.exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_early_interrupt_has_a_summary_too(project: Project, how: signal.Signals) -> None:
    with api_that_never_answers() as (url, server):
        running = start("apply", str(project.root), "--api-url", url, "--format", "json")
        asked, _ = server.accept()
        with asked:
            time.sleep(0.1)
            ended, _ = stop(running, how)
    assert ended.code == ExitCode.INTERRUPTED
    check_lines(ended)


def asked_on_terminal(project: Project, answer: bytes) -> Ended:
    """Let apply ask on a terminal; type an answer once it has asked."""
    master, slave = pty.openpty()
    running = start("apply", str(project.root), *project.access, stdin=slave, output=slave)
    os.close(slave)
    shown, answered = b"", False
    try:
        while True:
            quiet = not select.select([master], [], [], 0.5)[0]
            if not quiet:
                part = os.read(master, 4096)
                if not part:
                    break
                shown += part
            if b"[y/N]" not in shown:
                continue
            if answer == b"\x03" and (quiet or not answered):
                # No controlling terminal turns the key into a signal here. It is pressed again as
                # a person would: a signal just before the interpreter reads is noticed only then.
                running.send_signal(signal.SIGINT)
            elif answer != b"\x03" and not answered:
                os.write(master, answer)
            answered = True
    except OSError:  # what reading a terminal ends with when nobody writes any more
        pass
    finally:
        os.close(master)
    return Ended(running.wait(60), shown.decode(), "")


def test_a_destruction_without_consent_deletes_nothing_and_says_so(project: Project) -> None:
    project.targets(target("one", policy={"prevent_destroy": False}))
    assert project.run("apply").code == ExitCode.OK
    ended = on_terminal(project, "destroy", "--allow-destroy", typed="n\n")
    assert ended.code == ExitCode.PENDING
    assert "Delete these targets?" in ended.out
    assert "Nothing was deleted." in ended.out
    assert "applied" not in ended.out
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


@pytest.mark.parametrize(
    ("answer", "code", "word"),
    [
        (b"n\n", ExitCode.PENDING, "Nothing was applied"),
        (b"\n", ExitCode.PENDING, "Nothing was applied"),
        (b"\x04", ExitCode.INTERRUPTED, "Interrupted"),
        (b"\x03", ExitCode.INTERRUPTED, "Interrupted"),
    ],
    ids=["no", "by default", "end of input", "ctrl-c"],
)
def test_without_consent_nothing_changes(
    project: Project, answer: bytes, code: ExitCode, word: str
) -> None:
    ended = asked_on_terminal(project, answer)
    assert ended.code == code
    assert word in ended.out
    assert "Traceback" not in ended.out
    assert not project.lockfile.exists()
    assert project.run("plan", "--format", "json").json["summary"]["create"] == 5
