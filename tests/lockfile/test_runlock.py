"""The run lock: one run at a time, and free again the moment its process is gone."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.core.errors import ExitCode, LockHeldError, ReconcilerError
from reconciler.lockfile import Patience, hold, state_directory

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def holder(root: Path) -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).with_name("holder.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(root)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_another_process_is_kept_out_until_the_holder_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(LockHeldError) as caught, hold(tmp_path):
            pass
        assert f"process {process.pid} on " in caught.value.message
        assert caught.value.exit_code is ExitCode.LOCKED
        assert caught.value.hint
        process.kill()
        process.wait()
        with hold(tmp_path):
            owner = json.loads((tmp_path / ".reconciler" / "run.lock").read_text())
            assert owner["pid"] == os.getpid()


def test_a_second_run_in_the_same_process_is_kept_out_too(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(LockHeldError, match=str(os.getpid())), hold(tmp_path):
        pass
    with hold(tmp_path):
        pass


def test_a_run_that_breaks_down_frees_the_lock(tmp_path: Path) -> None:
    class BreakdownError(Exception):
        pass

    def break_down() -> None:
        with hold(tmp_path):
            raise BreakdownError

    with pytest.raises(BreakdownError):
        break_down()
    with hold(tmp_path):
        pass


def test_other_directories_do_not_matter(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    with hold(tmp_path / "a"), hold(tmp_path / "b"):
        pass


def test_the_state_stays_out_of_git(tmp_path: Path) -> None:
    directory = state_directory(tmp_path)
    assert (directory / ".gitignore").read_text() == "*\n"
    (directory / ".gitignore").write_text("mine\n")
    assert state_directory(tmp_path) == directory
    assert (directory / ".gitignore").read_text() == "mine\n"


def test_a_place_that_cannot_hold_the_state_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / ".reconciler").write_text("")
    with pytest.raises(ReconcilerError, match=r"\.reconciler"), hold(tmp_path):
        pass


def test_a_run_lock_that_cannot_be_opened_is_an_error_for_people(tmp_path: Path) -> None:
    (state_directory(tmp_path) / "run.lock").mkdir()
    with pytest.raises(ReconcilerError, match=r"run\.lock"), hold(tmp_path):
        pass


def test_a_holder_who_left_no_name_is_still_one(tmp_path: Path) -> None:
    with hold(tmp_path):
        (tmp_path / ".reconciler" / "run.lock").write_text("?")
        with pytest.raises(LockHeldError, match="another run"), hold(tmp_path):
            pass


def test_patience_outlasts_a_run_that_ends(tmp_path: Path) -> None:
    told: list[str] = []
    with holder(tmp_path) as process:

        def tell(text: str) -> None:
            told.append(text)
            process.kill()

        with hold(tmp_path, Patience(30, tell)):
            pass
    (said,) = told
    assert said.startswith(f"Waiting for another run to end (process {process.pid} on ")


def test_patience_ends(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(LockHeldError), hold(tmp_path, Patience(0.01)):
        pass


def test_a_file_system_without_locks_is_an_error_for_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ReconcilerError, match=r"run\.lock: .*No locks available"), hold(tmp_path):
        pass
