"""``-v`` says what was read and asked, on stderr; ``-q`` and results know nothing of it."""

from __future__ import annotations

import re

import pytest

from reconciler.core.errors import ExitCode

from .project import Project, target

MANIFESTS = (
    r"Manifests: {root} \(2 files, 5 documents: 1 repo, 2 prompts, 2 targets\), "
    r"read in \d+\.\d\d s\.\n"
)
SET = """\
apiVersion: reconciler/v1
kind: TargetSet
metadata: {repo: coding, name: "by-${{ matrix.number }}"}
matrix: {number: [3, 4]}
template:
  spec:
    teacher_prompt: expert
    generators: [{type: hardcoded, questions: ["Why?"]}]
"""
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


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_who_plans_is_told_what_was_read(project: Project, command: str) -> None:
    first, _, rest = project.run(command, "-v").err.partition("\n")
    assert fits(project, MANIFESTS, f"{first}\n"), first
    assert "Manifests: " not in rest
    assert "Manifests: " not in project.run(command).err
    assert project.run(command, "-v", "-q").err == ""


def test_a_set_is_one_document_and_a_part_of_a_project_is_read_as_a_whole(
    project: Project,
) -> None:
    project.targets(SET, target("one"))
    more = project.run("validate", "-v", "--target", "coding/one")
    assert "(2 files, 5 documents: 1 repo, 2 prompts, 1 target)" in more.err


def test_what_was_asked_in_vain_is_told_as_well(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREAD_API_KEY", "a wrong one")
    ended = project.run("status", "-v")
    assert ended.code == ExitCode.ERROR
    assert ended.err.startswith("Manifests: ")
