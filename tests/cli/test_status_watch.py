"""``status --watch``: in place on a terminal, a line per change elsewhere, until it is stopped."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.errors import ExitCode

from .project import Project, outcome, target

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

WATCH = ("--watch", "--interval", "0.1s")
#: Taking the cursor back over what was painted before.
UP = "\x1b[1A"


@pytest.fixture
def working(slow_project: Project) -> Iterator[Project]:
    """Give a project of which a rollout is under way, and makes ten lines a second."""
    running = slow_project.start("apply", "--yes")
    assert running.stderr
    read_until(running.stderr, lambda text: "rollout" in text.partition("Plan:")[2])
    yield slow_project
    running.send_signal(signal.SIGINT)
    outcome(running)


def test_a_lockfile_that_leads_round_in_a_circle_is_told(project: Project) -> None:
    project.lockfile.symlink_to(project.lockfile.name)
    done = project.run("status", *WATCH)
    assert (done.code, done.out) == (ExitCode.INVALID, "")
    assert "cannot be read" in done.err


def read_until(stream: Any, found: Callable[[str], bool]) -> str:
    """Return what a process wrote until that was enough."""
    text = ""
    while not found(text):
        assert_readable(stream.fileno(), text)
        part = os.read(stream.fileno(), 65_536).decode()
        assert part, text
        text += part
    return text


def assert_readable(file: int, so_far: str) -> None:
    ready, _, _ = select.select([file], [], [], 20)
    assert ready, f"nothing more came after: {so_far}"


def stopped(running: subprocess.Popen[str], number: int = signal.SIGINT) -> int:
    running.send_signal(number)
    ended = outcome(running)
    assert "Traceback" not in ended.err
    assert ended.err.endswith("Interrupted.\n")
    return ended.code


def test_without_a_terminal_there_is_one_line_per_change(working: Project) -> None:
    running = working.start("status", *WATCH)
    text = read_until(running.stdout, lambda text: text.count("rollout: running") > 2)
    assert stopped(running) == ExitCode.INTERRUPTED
    lines = text.splitlines()
    assert all(one != other for one, other in pairwise(lines))
    counts = [
        int(found[1]) for found in re.finditer(r"coding/slow rollout: running (\d+) / 600", text)
    ]
    assert counts == sorted(set(counts))


def test_what_is_settled_is_not_listed_and_nothing_is_said_twice(project: Project) -> None:
    assert project.run("apply").code == ExitCode.OK
    running = project.start("status", *WATCH)
    text = read_until(running.stdout, lambda text: "\n" in text)
    assert text == "Converged: live state satisfies every manifest.\n"
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    assert outcome(running).out == ""


def test_json_has_an_object_per_change(project: Project) -> None:
    running = project.start("status", *WATCH, "--format", "json")
    first = json.loads(read_until(running.stdout, lambda text: "\n" in text))
    assert first == project.run("status", "--format", "json").json
    assert not first["converged"]
    assert project.run("apply").code == ExitCode.OK
    read_until(running.stdout, lambda text: '"converged": true' in text)
    assert stopped(running) == ExitCode.INTERRUPTED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_pause_ends_it_at_once(project: Project, number: int) -> None:
    running = project.start("status", "--watch", "--interval", "1h")
    read_until(running.stdout, lambda text: "Not converged" in text)
    time.sleep(0.1)
    assert stopped(running, number) == ExitCode.INTERRUPTED


def test_an_interval_is_for_watching(project: Project) -> None:
    assert project.run("status", "--interval", "1s").code == ExitCode.USAGE
    assert project.run("status", "--watch", "--interval", "0s").code == ExitCode.USAGE


def test_invalid_manifests_end_it_before_anything_is_shown(project: Project) -> None:
    project.write("bad.yaml", "kind: Nonsense\n")
    assert project.run("status", *WATCH).code == ExitCode.INVALID


def test_manifests_are_read_again_when_a_file_of_theirs_changes(project: Project) -> None:
    running = project.start("status", *WATCH)
    read_until(running.stdout, lambda text: "Not converged" in text)
    generators = [{"type": "hardcoded", "questions_file": "questions.txt"}]
    project.write("questions.txt", "Why?\n")
    project.write("more.yaml", target("three", spec={"generators": generators}))
    read_until(running.stdout, lambda text: "coding/three stim: missing 0 / 1" in text)
    project.write("questions.txt", "Why?\nHow?\n")
    read_until(running.stdout, lambda text: "coding/three stim: missing 0 / 2" in text)
    assert stopped(running) == ExitCode.INTERRUPTED


@pytest.mark.parametrize("options", [(), ("--format", "json")])
def test_while_manifests_are_invalid_what_they_said_before_is_shown(
    project: Project, options: tuple[str, ...]
) -> None:
    running = project.start("status", *WATCH, *options)
    read_until(running.stdout, lambda text: "\n" in text)
    project.write("bad.yaml", "kind: Nonsense\n", "kind: More\n")
    told = read_until(running.stderr, lambda text: "\n" in text)
    assert told.startswith(
        "warning: the manifests cannot be used as they are, shown is what they said before: "
        f"{project.root}/bad.yaml:1:"
    )
    assert re.search(r" \(and \d+ more\)\n$", told)
    (project.root / "bad.yaml").unlink()
    assert read_until(running.stderr, lambda text: "\n" in text) == (
        "The manifests can be used again.\n"
    )
    assert project.run("apply").code == ExitCode.OK
    read_until(running.stdout, lambda text: "Converged" in text or '"converged": true' in text)
    assert stopped(running) == ExitCode.INTERRUPTED


def test_while_the_lockfile_is_torn_what_it_said_before_counts(project: Project) -> None:
    assert project.run("apply").code == ExitCode.OK
    good = project.lockfile.read_text()
    running = project.start("status", *WATCH)
    read_until(running.stdout, lambda text: "Converged" in text)
    lines = good.splitlines(keepends=True)
    torn = ["<<<<<<< ours\n", lines[-1], "=======\n", lines[-1], ">>>>>>> theirs\n"]
    project.lockfile.write_text("".join([*lines[:-1], *torn]))
    told = read_until(running.stderr, lambda text: "\n" in text)
    assert told.startswith(
        "warning: the lockfile cannot be used as it is, what it said before counts: "
        f"{project.lockfile}:"
    )
    project.write("more.yaml", target("three"))
    read_until(running.stdout, lambda text: "coding/three stim: missing" in text)
    project.lockfile.write_text(good)
    assert read_until(running.stderr, lambda text: "\n" in text) == (
        "The lockfile can be used again.\n"
    )
    assert stopped(running) == ExitCode.INTERRUPTED


def test_a_lockfile_that_is_torn_at_first_ends_it(project: Project) -> None:
    project.lockfile.write_text("<<<<<<< ours\n")
    assert project.run("status", *WATCH).code == ExitCode.INVALID


def test_a_selection_that_matches_nothing_any_more_is_told(project: Project) -> None:
    running = project.start("status", *WATCH, "--target", "coding/one")
    read_until(running.stdout, lambda text: "Not converged" in text)
    project.targets(target("two"))
    assert "coding/one" in read_until(running.stderr, lambda text: "\n" in text)
    assert stopped(running) == ExitCode.INTERRUPTED


class Terminal:
    """A process on a terminal of a size, and all that it was shown."""

    def __init__(self, project: Project, *options: str, rows: int) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
        # The size of the terminal, also where the tests run in one of another size that says so.
        size = {"LINES": str(rows), "COLUMNS": "80"}
        project.environment = {**project.environment, **size, "TERM": "xterm-256color"}
        streams = {"stdin": slave, "stdout": slave}
        self.process = project.start("status", *WATCH, *options, **streams)
        os.close(slave)
        self.shown = ""

    def until(self, found: Callable[[str], bool]) -> str:
        while not found(self.shown):
            assert_readable(self._master, self.shown)
            self.shown += os.read(self._master, 65_536).decode()
        return self.shown

    def stop(self) -> str:
        """Stop it; return the rest of what it showed."""
        self.process.send_signal(signal.SIGINT)
        before = len(self.shown)
        try:
            while part := os.read(self._master, 65_536):
                self.shown += part.decode()
        except OSError:  # what reading a terminal ends with when nobody writes any more
            pass
        os.close(self._master)
        assert outcome(self.process).code == ExitCode.INTERRUPTED
        return self.shown[before:]


def test_on_a_terminal_the_table_is_painted_in_place(working: Project) -> None:
    terminal = Terminal(working, rows=24)
    shown = terminal.until(lambda text: text.count("TARGET") > 3)
    assert UP in shown
    assert "\x1b[2J" not in shown, "the screen is never blank"
    assert "coding/slow" in shown
    rest = terminal.stop()
    assert "\x1b[?25h" in rest, "the cursor is back"


def test_what_is_as_before_is_not_painted_again(project: Project) -> None:
    assert project.run("apply").code == ExitCode.OK
    terminal = Terminal(project, rows=24)
    terminal.until(lambda text: "Converged" in text)
    time.sleep(0.5)
    terminal.stop()
    assert terminal.shown.count("TARGET") == 2, "once, and once more at the end"


def test_in_a_low_window_targets_that_are_settled_give_way(project: Project) -> None:
    names = [f"t{number:02}" for number in range(20)]
    project.targets(*(target(name) for name in names[:19]))
    assert project.run("apply").code == ExitCode.OK
    project.targets(*(target(name) for name in names))
    terminal = Terminal(project, "--no-color", rows=12)
    shown = terminal.until(lambda text: "a taller window" in text)
    terminal.stop()
    assert "coding/t19" in shown
    assert "coding/t18" not in shown
    assert "Not converged" in shown
    assert shown.count("\n") < 12
    left = 20 - len(re.findall(r"coding/t\d\d", shown))
    assert f"… and {left} more targets" in shown


def test_on_a_terminal_invalid_manifests_are_told_below_the_table(project: Project) -> None:
    terminal = Terminal(project, "--no-color", rows=24)
    terminal.until(lambda text: "coding/one" in text)
    project.write("bad.yaml", "kind: Nonsense\n")
    shown = terminal.until(lambda text: "bad.yaml" in text)
    assert shown.rindex("coding/two") < shown.rindex("warning: the manifests cannot be used")
    (project.root / "bad.yaml").unlink()
    before = len(shown)
    terminal.until(lambda text: "coding/two" in text[before:])
    terminal.stop()
    assert "warning" not in terminal.shown[terminal.shown.rindex("TARGET") :]
