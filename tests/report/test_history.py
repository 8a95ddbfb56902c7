"""What git tells of a lockfile, with real repositories; and what is said when it tells nothing."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from reconciler.core.model.desired import Stage
from reconciler.core.model.history import History
from reconciler.core.model.lock import Lock, LockedStage, LockedTarget
from reconciler.lockfile import render
from reconciler.workflow.reporting import history

from .support import target

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
BEGINNING = 1_700_000_000


class Repository:
    """A git repository with a lockfile in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lockfile = root / "reconciler.lock"
        self._hours = 0
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        date = f"{BEGINNING + self._hours * 3600} +0000"
        people = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "a"), ("EMAIL", "a@b.c"), ("DATE", date))
        }
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env={**NOBODY, **people},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def commit(self, content: str | None = None, *files: str) -> None:
        if content is not None:
            self.lockfile.write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        self._hours += 1


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def lock(*lines: int) -> str:
    """Return the text of a lockfile with a target for each count of stim lines."""
    return render(
        Lock(
            "local",
            targets={
                target(number): LockedTarget(
                    f"sha256:{0:064}",
                    "x",
                    stages={
                        Stage.STIM: LockedStage("running", count),
                        Stage.ROLLOUT: LockedStage("running", 5 * count),
                    },
                )
                for number, count in enumerate(lines)
            },
        )
    )


def counts(found: History) -> list[tuple[int, int, int]]:
    return [
        (moment.targets, moment.lines[Stage.STIM], moment.lines[Stage.ROLLOUT])
        for moment in found.moments
    ]


def test_every_version_is_counted_the_oldest_first(repository: Repository) -> None:
    for content in (lock(1), lock(1, 2), lock(4, 2)):
        repository.commit(content)
    found = history.read(repository.lockfile)
    assert counts(found) == [(1, 1, 5), (2, 3, 15), (2, 6, 30)]
    assert [moment.when for moment in found.moments] == [BEGINNING + 3600 * n for n in range(3)]
    assert found.moments[0].date == "2023-11-14 22:13"
    assert repository.git("rev-parse", "HEAD").startswith(found.moments[-1].commit)
    assert found.notes == ()


def test_what_people_set_in_git_changes_nothing(repository: Repository) -> None:
    repository.commit(lock(1))
    repository.commit(lock(2))
    before = history.read(repository.lockfile)
    for setting in (
        "log.showRoot=false", "log.showSignature=true", "log.follow=true", "log.decorate=full",
        "color.ui=always", "core.pager=false", "diff.noprefix=true", "log.diffMerges=off",
        "core.quotePath=true", "format.pretty=oneline", "core.abbrev=4",
    ):  # fmt: skip
        repository.git("config", *setting.split("="))
    assert history.read(repository.lockfile) == before


def test_commits_that_leave_the_lockfile_alone_are_no_versions(repository: Repository) -> None:
    repository.commit(lock(1))
    repository.commit()
    assert len(history.read(repository.lockfile).moments) == 1


def test_what_is_out_of_scope_does_not_count(repository: Repository) -> None:
    repository.commit(lock(1, 20, 300))
    found = history.read(repository.lockfile, without=frozenset({target(1)}))
    assert counts(found) == [(2, 301, 1505)]


def test_a_merge_tells_what_the_branch_held_and_not_what_the_other_did(
    repository: Repository,
) -> None:
    repository.commit(lock(1))
    repository.git("checkout", "-q", "-b", "side")
    repository.commit(lock(2))
    repository.commit(lock(3))
    repository.git("checkout", "-q", "main")
    repository.git("merge", "-q", "--no-ff", "-m", "x", "side")
    assert [lines for _, lines, _ in counts(history.read(repository.lockfile))] == [1, 3]


def test_of_very_many_versions_some_are_read_spread_evenly(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        repository.commit(lock(number))
    monkeypatch.setattr(history, "MOST_READ", 3)
    found = history.read(repository.lockfile)
    assert [lines for _, lines, _ in counts(found)] == [0, 4, 8]
    assert found.notes == ("3 of 9 versions are shown, spread evenly.",)


@pytest.mark.parametrize(
    "broken", ["<<<<<<< HEAD\n", "", "\x00\xff", "version: 2\n", lock(1) + "x", "a" * 100]
)
def test_versions_that_are_no_lockfile_are_left_out_and_counted(
    repository: Repository, broken: str
) -> None:
    repository.commit(lock(1))
    repository.commit(broken)
    repository.commit(lock(3))
    found = history.read(repository.lockfile)
    assert [lines for _, lines, _ in counts(found)] == [1, 3]
    assert found.notes == ("1 version could not be read and is left out.",)


def test_a_version_that_is_too_large_is_read_over(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit(lock(1))
    repository.commit(lock(*range(100)))
    repository.commit(lock(3))
    monkeypatch.setattr(history, "LARGEST", 5_000)
    assert [lines for _, lines, _ in counts(history.read(repository.lockfile))] == [1, 3]


def test_a_lockfile_that_was_deleted_or_was_a_link_for_a_time_leaves_a_gap(
    repository: Repository,
) -> None:
    repository.commit(lock(1))
    repository.lockfile.unlink()
    repository.commit()
    repository.lockfile.symlink_to("nowhere")
    repository.commit()
    repository.lockfile.unlink()
    repository.commit(lock(3))
    assert [lines for _, lines, _ in counts(history.read(repository.lockfile))] == [1, 3]


@pytest.mark.parametrize(
    "name", ["-x", ":(top)x", "two words", "ümlaut", 'quo"te', "new\nline", "*"]
)
def test_a_lockfile_may_be_called_anything(repository: Repository, name: str) -> None:
    repository.commit(lock(1))
    (repository.root / name).write_text(lock(7))
    repository.commit()
    assert counts(history.read(repository.root / name)) == [(1, 7, 35)]


def test_a_lockfile_in_a_directory_below_is_found(repository: Repository) -> None:
    (repository.root / "below").mkdir()
    (repository.root / "below" / "reconciler.lock").write_text(lock(7))
    repository.commit(lock(1))
    found = history.read(repository.root / "below" / "reconciler.lock")
    assert counts(found) == [(1, 7, 35)]


def test_a_shallow_clone_says_what_is_missing(repository: Repository, tmp_path: Path) -> None:
    repository.commit(lock(1))
    repository.commit(lock(2))
    clone = tmp_path / "clone"
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.root}", str(clone))
    found = history.read(clone / "reconciler.lock")
    assert [lines for _, lines, _ in counts(found)] == [2]
    assert "shallow" in found.notes[0]


def test_without_a_repository_without_commits_and_without_git_there_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(lockfile: Path) -> str:
        found = history.read(lockfile)
        assert found.moments == ()
        return found.notes[0]

    alone = tmp_path / "alone"
    alone.mkdir()
    assert note(alone / "reconciler.lock") == (
        "There is no history: the lockfile is in no git repository."
    )
    assert "cannot be started" in note(tmp_path / "nowhere" / "reconciler.lock")
    made = tmp_path / "made"
    made.mkdir()
    repository = Repository(made)
    assert "nothing was committed yet" in note(repository.lockfile)
    repository.commit()
    assert "no version of the lockfile was committed yet" in note(repository.lockfile)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "git is not installed" in note(repository.lockfile)


def test_git_learns_no_secret_and_what_it_complains_about_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/told\necho 'fatal: no way' >&2\nexit 128\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("BREAD_API_KEY", "bread-123")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    found = history.read(tmp_path / "reconciler.lock")
    assert found.notes == ("There is no history: git says: fatal: no way.",)
    told = (tmp_path / "told").read_text()
    assert "bread-123" not in told
    assert "GIT_DIR" not in told


def test_a_git_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(history, "SECONDS", 0.05)
    assert "took longer than" in history.read(tmp_path / "reconciler.lock").notes[0]
