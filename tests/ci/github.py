"""As much of GitHub's runner as the recipes need: contexts, conditions, steps, summaries."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .forge import RECIPES, Forge, bash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Json = dict[str, Any]
REPOSITORY = "team/models"
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_VARIABLE = re.compile(r"\b[a-z]\w*(?:\.\w+)+")


def recipe(name: str) -> Json:
    """Return a workflow as YAML 1.2 has it: ``on`` is no truth value."""
    value: dict[Any, Any] = yaml.safe_load((RECIPES / "github" / f"{name}.yml").read_text())
    return {"on" if key is True else key: item for key, item in value.items()}


def triggers(workflow: Json, files: Iterable[str]) -> bool:
    """Return whether a push that changes these files starts a workflow."""
    return any(_is_meant(file, workflow["on"]["push"]["paths"]) for file in files)


def _is_meant(file: str, patterns: Iterable[str]) -> bool:
    meant = False
    for pattern in patterns:
        form = re.escape(pattern.removeprefix("!")).replace(r"\*\*", ".*")
        if re.fullmatch(form, file):
            meant = not pattern.startswith("!")
    return meant


@dataclass(frozen=True)
class Ran:
    """How a job ended: the exit code and output of each step that ran, and the summary."""

    conclusion: str
    steps: dict[str, tuple[int, str]] = field(default_factory=dict)
    summary: str = ""

    @property
    def log(self) -> str:
        return "".join(output for _, output in self.steps.values())


@dataclass(frozen=True)
class Runner:
    """Runs jobs of one event. ``api`` stands in for the hosted API."""

    forge: Forge
    api: str
    github: Json
    secrets: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(
        self, name: str, job: str, *, before: Mapping[str, Callable[[], None]] | None = None
    ) -> Ran:
        """Run a job; ``before`` holds what happens elsewhere just before a step."""
        return self.run_workflow(recipe(name), job, before=before)

    def run_workflow(
        self, workflow: Json, job: str, *, before: Mapping[str, Callable[[], None]] | None = None
    ) -> Ran:
        workflow["env"]["BREAD_BASE_URL"] = self.api
        assert workflow["defaults"] == {"run": {"shell": "bash"}}
        found = workflow["jobs"][job]
        if not self._holds(str(found.get("if", "true")), failed=False):
            return Ran("skipped")
        return _Job(self, workflow, before or {}).ran(found["steps"])

    def _holds(self, condition: str, *, failed: bool) -> bool:
        expression = _EXPRESSION.sub(r"\1", condition).strip()
        if not re.search(r"\b(always|cancelled|failure|success)\(", expression):
            expression = f"success() && ({expression})"
        return bool(self._value(expression, failed=failed))

    def _value(self, expression: str, *, failed: bool = False) -> object:
        python = _VARIABLE.sub(lambda match: f"_({match[0]!r})", expression)
        python = python.replace("&&", " and ").replace("||", " or ")
        python = re.sub(r"!(?!=)", " not ", python)
        names = {
            "_": self._lookup,
            "true": True,
            "always": lambda: True,
            "cancelled": lambda: False,
            "success": lambda: not failed,
        }
        return eval(" ".join(python.split()), {"__builtins__": {}}, names)

    def _lookup(self, name: str) -> object:
        contexts: Json = {
            "github": self.github,
            "secrets": self.secrets,
            "vars": self.variables,
        }
        value: Any = contexts
        for part in name.split("."):
            value = value.get(part, "")
        return value

    def substituted(self, value: object) -> str:
        return _EXPRESSION.sub(lambda match: str(self._value(match[1].strip())), str(value))


class _Job:
    """One job in a workspace of its own."""

    def __init__(
        self, runner: Runner, workflow: Json, before: Mapping[str, Callable[[], None]]
    ) -> None:
        self._runner = runner
        self._before = before
        self._root = Path(tempfile.mkdtemp(prefix="job-", dir=runner.forge.root))
        self._workspace = self._root / "workspace"
        self._summary = self._root / "summary.md"
        self._summary.touch()
        shared = {k: v for k, v in runner.forge.environment.items() if not k.startswith("GIT_A")}
        self._environment = {
            **{k: v for k, v in shared.items() if not k.startswith("GIT_COMMITTER")},
            **{key: runner.substituted(value) for key, value in workflow["env"].items()},
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "1",
            "GITHUB_SHA": str(runner.github["sha"]),
            "GITHUB_REF": str(runner.github["ref"]),
            "GITHUB_STEP_SUMMARY": str(self._summary),
            "RUNNER_TEMP": str(self._root),
        }

    def ran(self, steps: list[Json]) -> Ran:
        done: dict[str, tuple[int, str]] = {}
        failed = False
        for step in steps:
            name = str(step.get("name", step.get("uses")))
            if not self._runner._holds(str(step.get("if", "success()")), failed=failed):
                continue
            self._before.get(name, lambda: None)()
            done[name] = self._step(step)
            failed = failed or done[name][0] != 0
        return Ran("failure" if failed else "success", done, self._summary.read_text())

    def _step(self, step: Json) -> tuple[int, str]:
        if "uses" in step:
            return self._action(step["uses"].partition("@")[0], step.get("with", {}))
        own = {key: self._runner.substituted(value) for key, value in step.get("env", {}).items()}
        return bash(step["run"], cwd=self._workspace, env={**self._environment, **own})

    def _action(self, action: str, options: Json) -> tuple[int, str]:
        if action == "actions/checkout":
            ref = options.get("ref") or self._runner.github["head_ref"]
            branch = self._runner.substituted(ref)
            url, workspace = self._runner.forge.url, str(self._workspace)
            self._runner.forge.git(
                "clone", "--quiet", "--depth=1", "--branch", branch, url, workspace
            )
        else:
            assert action == "actions/setup-python"
        return 0, ""


def pull_request(forge: Forge, api: str, key: str, branch: str = "change") -> Runner:
    """Return a runner for a pull request from a branch of the repository itself."""
    event = {"pull_request": {"number": 7, "head": {"repo": {"full_name": REPOSITORY}}}}
    github = {
        "repository": REPOSITORY,
        "event": event,
        "head_ref": branch,
        "ref": "refs/pull/7/merge",
        "sha": "0123456789abcdef0123456789abcdef01234567",
        "token": "can-write",
    }
    return Runner(forge, api, github, {"BREAD_API_KEY": key})


def fork(runner: Runner) -> Runner:
    """Return the same pull request as it comes from a fork: no secrets, a token that reads."""
    event = {"pull_request": {"number": 7, "head": {"repo": {"full_name": "stranger/models"}}}}
    return replace(
        runner, secrets={}, github={**runner.github, "event": event, "token": "read-only"}
    )


def merge(forge: Forge, api: str, key: str, branch: str = "main") -> Runner:
    """Return a runner for a push to a branch."""
    github = {
        "repository": REPOSITORY,
        "event": {"repository": {"default_branch": "main"}},
        "ref": f"refs/heads/{branch}",
        "ref_name": branch,
        "sha": "0123456789abcdef0123456789abcdef01234567",
        "token": "can-write",
    }
    return Runner(forge, api, github, {"BREAD_API_KEY": key})
