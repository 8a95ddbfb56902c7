"""``destroy``: what is declared goes, and only with every permission."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.cli.root import run
from reconciler.core.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

MANIFESTS = """
apiVersion: reconciler/v1
kind: Repo
metadata: {name: coding}
---
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: coding, name: expert}
spec: {messages: [{role: system, content: Be exact.}]}
---
apiVersion: reconciler/v1
kind: Target
metadata: {repo: coding, name: free}
spec: {teacher_prompt: expert, generators: [{type: hardcoded, questions: [Why?]}]}
policy: {prevent_destroy: false}
---
apiVersion: reconciler/v1
kind: Target
metadata: {repo: coding, name: kept}
spec: {template: free}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "all.yaml").write_text(MANIFESTS)
    assert run(["apply", "--local", "-q", str(tmp_path)]) is ExitCode.OK
    return tmp_path


def status(project: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    run(["status", "--local", str(project)])
    return capsys.readouterr().out


def test_nothing_goes_without_permission_on_the_command_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project / "reconciler.lock").read_bytes()
    assert run(["destroy", "--local", str(project)]) is ExitCode.BLOCKED
    assert "missing" not in status(project, capsys)
    assert (project / "reconciler.lock").read_bytes() == before


def test_what_is_protected_stays(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["destroy", "--local", "--allow-destroy", str(project)]) is ExitCode.BLOCKED
    assert "1 blocked, 1 deleted" in capsys.readouterr().out
    table = {line.split()[0]: line for line in status(project, capsys).splitlines() if line}
    assert "missing" in table["coding/free"]
    assert "complete" in table["coding/kept"]


def test_the_lockfile_forgets_what_is_gone(project: Path) -> None:
    chosen = ["--target", "coding/free"]
    assert run(["destroy", "--local", "--allow-destroy", *chosen, str(project)]) is ExitCode.OK
    text = (project / "reconciler.lock").read_text()
    assert "coding/free" not in text
    assert "coding/kept" in text


def test_what_is_not_live_needs_no_deletion(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["destroy", "--local", "--allow-destroy", "--target", "coding/free", str(project)]
    assert run(command) is ExitCode.OK
    capsys.readouterr()
    assert run(command) is ExitCode.OK
    assert "no declared target is live" in capsys.readouterr().err


def test_a_revision_goes_and_not_what_it_left_behind(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifests = project / "all.yaml"
    changed = manifests.read_text().replace("[Why?]", "[How?]")
    manifests.write_text(changed.replace("{prevent", "{on_change: revise, prevent"))
    chosen = ["--target", "coding/free", str(project)]
    assert run(["apply", "--local", *chosen]) is ExitCode.OK
    assert run(["destroy", "--local", "--allow-destroy", *chosen]) is ExitCode.OK
    capsys.readouterr()
    run(["plan", "--local", *chosen])
    assert "leaves free behind" in capsys.readouterr().out
