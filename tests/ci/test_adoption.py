"""From an empty repository to a plan comment, by the commands that the documentation gives."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from .conftest import KEY
from .forge import bash
from .github import pull_request

if TYPE_CHECKING:
    import pytest

    from reconciler.service import Running

    from .forge import Forge

PAGE = Path(__file__).parents[2] / "docs" / "adopting.md"
_BLOCK = re.compile(r"<!-- from nothing to a comment -->\n```console\n(.*?)```", re.DOTALL)


def commands() -> list[str]:
    found = _BLOCK.search(PAGE.read_text(encoding="utf-8"))
    assert found
    return [line.removeprefix("$ ") for line in found[1].splitlines()]


def test_nine_commands_lead_from_an_empty_repository_to_a_plan_comment(
    hub: Forge, service: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(hub, "uv", "cat >/dev/null")
    stand_in(hub, "gh", 'case $1 in secret|pr) exit 0 ;; esac\nexec "$0-api" "$@"')
    clone = empty(hub)
    began = time.monotonic()
    for command in commands():
        code, said = bash(command, cwd=clone, env=hub.environment)
        assert code == 0, f"{command}: {said}"
    runner = pull_request(hub, service.url, KEY, branch="reconciler")
    ran = runner.run_workflow(written(clone), "plan")
    seconds = time.monotonic() - began
    assert ran.conclusion == "success", ran.log
    (comment,) = json.loads((hub.root / "github" / "comments.json").read_text())
    assert "to create" in comment["body"]
    assert len(commands()) == 9
    with capsys.disabled():
        text = f"\n{len(commands())} commands and {seconds:.1f} s to the first plan comment\n"
        sys.stdout.write(text)


def empty(hub: Forge) -> Path:
    """Clone the remote as it is before its first commit."""
    hub.git("update-ref", "-d", "refs/heads/main", cwd=hub.remote)
    clone = hub.root / "models"
    hub.git("clone", "--quiet", hub.url, str(clone))
    hub.git("remote", "set-url", "origin", "https://github.com/team/models.git", cwd=clone)
    hub.git("remote", "set-url", "--push", "origin", hub.url, cwd=clone)
    return clone


def written(clone: Path) -> dict[str, object]:
    """Return the workflow that ``init`` wrote, as YAML 1.2 has it."""
    value = yaml.safe_load((clone / ".github" / "workflows" / "reconciler-plan.yml").read_text())
    return {"on" if key is True else key: item for key, item in value.items()}


def stand_in(hub: Forge, name: str, script: str) -> None:
    """Put a program in front of the one of that name, which gets the suffix ``-api``."""
    directory = Path(hub.environment["PATH"].partition(":")[0])
    program = directory / name
    if program.exists():
        program.rename(directory / f"{name}-api")
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
