"""The script of ``examples/migrating`` and the manifests beside it make the same."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aibread

from reconciler.core.errors import ExitCode

from .conftest import KEY

if TYPE_CHECKING:
    from types import ModuleType

    import pytest

    from .project import Project

EXAMPLE = Path(__file__).parents[2] / "examples" / "migrating"
REPO = "support-small"


def test_what_the_script_made_is_what_the_manifests_declare(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, url, _, user = project.access
    copy = shutil.copytree(EXAMPLE, tmp_path / "migrating")
    client = functools.partial(
        aibread.Bread, api_key=KEY, base_url=url, default_query={"user_id": user}
    )
    monkeypatch.setattr(aibread, "Bread", client)
    script = loaded(copy / "script.py")
    monkeypatch.setattr(script, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(sys, "argv", ["script.py", REPO])
    script.main()

    shutil.rmtree(project.root)
    shutil.copytree(copy, project.root)
    plan = project.run("plan", "--detailed-exitcode", "--target", f"{REPO}/*", "--format", "json")
    assert plan.code == ExitCode.OK
    assert {action["action"] for action in plan.json["actions"]} == {"adopt"}
    assert sum(action["kind"] == "Target" for action in plan.json["actions"]) == 20


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("migrating", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
