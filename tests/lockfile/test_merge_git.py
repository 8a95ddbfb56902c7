"""Real merges of git: with the driver, without it, and what ``refresh`` makes of the rest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import lockfile
from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedStage, LockedTarget
from reconciler.core.model.manifest import Kind, ResourceId

from .locks import DIGEST

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
DRIVER = f"'{sys.executable}' -m reconciler merge-driver %O %A %B %P"
RUNNING = LockedStage("running", 40, 100)
COMPLETE = LockedStage("complete", 100, 100)


def target(name: str) -> ResourceId:
    return ResourceId(Kind.TARGET, "r", name)


def lock(*names: str, stage: LockedStage = RUNNING, **others: LockedStage) -> Lock:
    """Return a lockfile of some targets, all at one stage but those that are named."""
    stages = dict.fromkeys(names, stage) | others
    return Lock(
        "local",
        targets={
            target(name): LockedTarget(DIGEST, name, stages={Stage.STIM: seen})
            for name, seen in stages.items()
        },
    )


class Clone:
    """A repository with a lockfile, in which two branches go separate ways."""

    def __init__(self, root: Path, *, driver: bool) -> None:
        self.root = root
        self.file = root / "reconciler.lock"
        self.git("init", "--quiet", "--initial-branch", "main")
        (root / ".gitattributes").write_text("reconciler.lock merge=reconciler\n")
        if driver:
            self.git("config", "merge.reconciler.driver", DRIVER)

    def git(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        who = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "core.hooksPath=/none")
        command = ["git", "-C", str(self.root), *who, *arguments]
        return subprocess.run(command, check=check, capture_output=True, text=True)

    def commit(self, content: Lock) -> None:
        self.file.write_text(lockfile.render(content))
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "x")

    def merge(self, base: Lock, ours: Lock, theirs: Lock) -> subprocess.CompletedProcess[str]:
        self.commit(base)
        self.git("checkout", "--quiet", "-b", "theirs")
        self.commit(theirs)
        self.git("checkout", "--quiet", "main")
        self.commit(ours)
        return self.git("merge", "--no-edit", "theirs", check=False)

    @property
    def merged(self) -> Lock:
        return lockfile.parse(self.file.read_text(), "x")


@pytest.fixture
def plain(tmp_path: Path) -> Clone:
    return Clone(tmp_path, driver=False)


@pytest.fixture
def driven(tmp_path: Path) -> Clone:
    return Clone(tmp_path, driver=True)


@pytest.mark.parametrize("other", ["b", "c"])
def test_without_the_driver_changes_to_different_targets_do_not_conflict(
    plain: Clone, other: str
) -> None:
    base = lock("a", "b", "c")
    done = plain.merge(base, lock("b", "c", a=COMPLETE), lock("a", "b", "c", **{other: COMPLETE}))
    assert done.returncode == 0, done.stdout
    assert plain.merged == lock("a", "b", "c", **{"a": COMPLETE, other: COMPLETE})


def test_without_the_driver_targets_added_in_different_places_do_not_conflict(
    plain: Clone,
) -> None:
    base = lock("b", "d")
    assert plain.merge(base, lock("a", "b", "d"), lock("b", "c", "d")).returncode == 0
    assert plain.merged == lock("a", "b", "c", "d")


def test_with_the_driver_targets_added_in_the_same_place_do_not_conflict(driven: Clone) -> None:
    done = driven.merge(lock("a", "d"), lock("a", "b", "d"), lock("a", "c", "d"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert driven.merged == lock("a", "b", "c", "d")
    assert driven.file.read_text() == lockfile.render(lock("a", "b", "c", "d"))


def test_with_the_driver_one_target_seen_twice_is_no_conflict(driven: Clone) -> None:
    pending = LockedStage("pending", 0)
    done = driven.merge(lock(a=pending), lock(a=RUNNING), lock(a=COMPLETE))
    assert done.returncode == 0, done.stderr
    assert driven.merged == lock(a=COMPLETE)


def test_with_the_driver_two_branches_that_both_begin_a_lockfile_do_not_conflict(
    driven: Clone,
) -> None:
    driven.git("add", ".")
    driven.git("commit", "--quiet", "--message", "x")
    driven.git("checkout", "--quiet", "-b", "theirs")
    driven.commit(lock("b"))
    driven.git("checkout", "--quiet", "main")
    driven.commit(lock("a"))
    assert driven.git("merge", "--no-edit", "theirs", check=False).returncode == 0
    assert driven.merged == lock("a", "b")


def test_lockfiles_of_two_apis_are_a_conflict_for_git_too(driven: Clone) -> None:
    elsewhere = replace(lock("b"), api_url="https://api.example")
    done = driven.merge(lock("a"), lock("a", "c"), elsewhere)
    assert done.returncode == 1
    assert "reconciler.lock: one side records local, the other https://api.example" in done.stderr
    assert "reconciler refresh" in done.stderr
    assert driven.git("diff", "--name-only", "--diff-filter=U").stdout == "reconciler.lock\n"
    text = driven.file.read_text()
    assert text.startswith("<<<<<<< ours\n")
    assert text.endswith(">>>>>>> theirs\n")
