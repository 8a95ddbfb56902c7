"""What every recipe keeps to, and what linters and the services' own schemas say about them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from .forge import RECIPES
from .github import recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = sorted((RECIPES / "github").glob("*.yml"))
NAMES = [file.stem for file in FILES]
WRITES = {
    ("reconciler-plan", "validate"): {"security-events"},
    ("reconciler-plan", "plan"): {"pull-requests"},
    ("reconciler-apply", "apply"): {"contents"},
}
Json = dict[str, Any]


def steps(workflow: Json) -> Iterator[Json]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("file", sorted(RECIPES.rglob("*.yml")), ids=lambda file: file.stem)
def test_every_action_is_pinned_by_its_commit_and_says_which_version_that_is(file: Any) -> None:
    used = re.findall(r"^\s*-?\s*uses:.*$", file.read_text(), flags=re.MULTILINE)
    pinned = re.compile(r"\s*-?\s*uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [line for line in used if not pinned.fullmatch(line)] == []
    assert used or "github" not in file.parts


@pytest.mark.parametrize("name", NAMES)
def test_every_job_names_the_permissions_it_needs_and_no_others(name: str) -> None:
    workflow = recipe(name)
    assert workflow["permissions"] == {}
    for job, content in workflow["jobs"].items():
        granted = content["permissions"]
        assert {scope for scope, access in granted.items() if access == "write"} == WRITES[
            name, job
        ]
        assert set(granted) == {"contents", *WRITES[name, job]}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_pull_request_reaches_a_shell_as_code(name: str) -> None:
    workflow = recipe(name)
    assert "pull_request_target" not in workflow["on"]
    assert not [step["name"] for step in steps(workflow) if "${{" in step.get("run", "")]


@pytest.mark.parametrize("name", NAMES)
def test_no_credentials_stay_in_the_checkout(name: str) -> None:
    checkouts = [step for step in steps(recipe(name)) if "checkout@" in step.get("uses", "")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", NAMES)
def test_secrets_are_given_to_the_steps_that_need_them(name: str) -> None:
    workflow = recipe(name)
    outside = {**workflow, "jobs": [{**job, "steps": []} for job in workflow["jobs"].values()]}
    assert "secrets." not in yaml.safe_dump(outside)
    assert not [step for step in steps(workflow) if step.get("name") == "Install" and "env" in step]


def test_of_runs_that_apply_one_goes_on_at_a_time_and_none_is_broken_off() -> None:
    found = recipe("reconciler-apply")["concurrency"]
    assert found == {"group": "reconciler-apply", "cancel-in-progress": False}


@pytest.mark.parametrize(
    "command", [["zizmor", "--offline", "--persona=pedantic"], ["actionlint"]], ids=lambda c: c[0]
)
def test_linters_find_nothing(command: list[str]) -> None:
    assert_finds_nothing(*command, *FILES)


@pytest.mark.parametrize("schema", ["github-workflows", "gitlab-ci"])
def test_recipes_are_what_the_hosting_services_say_they_read(schema: str) -> None:
    files = FILES if schema == "github-workflows" else [RECIPES / "gitlab" / ".gitlab-ci.yml"]
    assert_finds_nothing("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


def assert_finds_nothing(program: str, *arguments: str | Path) -> None:
    found = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if not found:
        pytest.skip(f"{program} is not installed: the recipes were not checked with it")
    done = subprocess.run(
        [found, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
