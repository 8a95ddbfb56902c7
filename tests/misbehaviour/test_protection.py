"""What the manifests protected last stays protected, whatever became of the run that read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli.project import target

from reconciler.core.errors import ExitCode

from .meddler import answer

if TYPE_CHECKING:
    from cli.project import Project

    from .meddler import Meddler

pytestmark = pytest.mark.usefixtures("hurried")

OPEN = {"on_change": "replace", "prevent_destroy": False}
PROTECTED = {"on_change": "replace", "prevent_destroy": True}
EVERYTHING_ALLOWED = ("--prune", "--allow-destroy")


def prune_two(project: Project, meddler: Meddler) -> None:
    """Take a target out of the manifests that was unprotected once, and protected at last."""
    meddler.behave()
    project.targets(target("one"))
    ended = project.run("apply", *EVERYTHING_ALLOWED)
    assert meddler.sent("DELETE .*") == []
    assert ended.code == ExitCode.BLOCKED


def test_a_target_that_was_protected_by_a_run_that_found_it_as_declared(
    project: Project, meddler: Meddler
) -> None:
    for policy in (OPEN, PROTECTED):
        project.targets(target("one"), target("two", policy=policy))
        assert project.run("apply").code == ExitCode.OK
    prune_two(project, meddler)


def test_a_target_that_was_protected_by_a_run_that_this_protection_blocked(
    project: Project, meddler: Meddler
) -> None:
    project.targets(target("one"), target("two", policy=OPEN))
    assert project.run("apply").code == ExitCode.OK
    project.targets(target("one"), target("two", policy=PROTECTED, spec={"max_tokens": 41}))
    assert project.run("apply", *EVERYTHING_ALLOWED).code == ExitCode.BLOCKED
    prune_two(project, meddler)


def test_a_target_that_was_protected_by_a_run_that_could_not_read_it(
    project: Project, meddler: Meddler
) -> None:
    project.targets(target("one"), target("two", policy=OPEN))
    assert project.run("apply").code == ExitCode.OK
    meddler.on("GET .*/two", answer(503, {"error": "Busy"}))
    project.targets(target("one"), target("two", policy=PROTECTED))
    assert project.run("apply").code == ExitCode.ERROR
    prune_two(project, meddler)


def test_a_refresh_that_cannot_read_a_target_says_so_and_keeps_its_entry(
    project: Project, meddler: Meddler
) -> None:
    project.targets(target("one"), target("two"))
    assert project.run("apply").code == ExitCode.OK
    before = project.lockfile.read_bytes()
    meddler.on("GET .*/targets/two", answer(503, {"error": "Busy"}))
    ended = project.run("refresh")
    assert (ended.code, ended.out) == (ExitCode.ERROR, "")
    assert "coding/two: " in ended.err
    assert "Busy" in ended.err
    assert project.lockfile.read_bytes() == before
