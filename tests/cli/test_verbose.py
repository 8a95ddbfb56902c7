"""``-v`` says what was read and asked, on stderr; ``-q`` and results know nothing of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from reconciler.core.errors import ExitCode

if TYPE_CHECKING:
    from .project import Project

MANIFESTS = r"Manifests: {root} \(1 repo, 2 prompts, 2 targets\), read in \d+\.\d\d s\.\n"
LIVE = r"Live state: {url}, [1-9]\d* requests in \d+\.\d\d s\.\n"
LOCKFILE = r"Lockfile: {root}/reconciler\.lock\.\n"


def fits(project: Project, pattern: str, text: str) -> bool:
    url = re.escape(project.access[1])
    return bool(re.fullmatch(pattern.format(root=re.escape(str(project.root)), url=url), text))


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("command", ["status", "refresh"])
def test_who_wants_more_is_told_what_was_read_and_asked(
    project: Project, command: str, form: str
) -> None:
    assert project.run("apply").code == ExitCode.OK
    more = project.run(command, "-v", "--format", form)
    assert fits(project, MANIFESTS + LIVE + LOCKFILE, more.err), more.err
    plain = project.run(command, "--format", form)
    assert (plain.code, plain.out, plain.err) == (more.code, more.out, "")
    assert project.run(command, "-v", "-q", "--format", form).err == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_who_validates_is_told_what_was_read(project: Project, form: str) -> None:
    more = project.run("validate", "-v", "--format", form)
    assert fits(project, MANIFESTS, more.err), more.err
    assert more.out == project.run("validate", "--format", form).out
    project.run("apply")
    with_lockfile = project.run("validate", "-v", "--lockfile", str(project.lockfile))
    assert fits(project, MANIFESTS + LOCKFILE, with_lockfile.err), with_lockfile.err


def test_what_was_asked_in_vain_is_told_as_well(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREAD_API_KEY", "a wrong one")
    ended = project.run("status", "-v")
    assert ended.code == ExitCode.ERROR
    assert ended.err.startswith("Manifests: ")
