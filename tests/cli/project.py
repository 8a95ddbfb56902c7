"""Small projects on disk, and the command line at work on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import yaml
from processes import SAME_CODE

from reconciler.cli.root import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

Json = dict[str, Any]

PROMPTS = """\
apiVersion: reconciler/v1
kind: Repo
metadata: {name: coding}
spec: {base_model: Qwen/Qwen3-32B}
---
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: coding, name: expert}
spec:
  messages: [{role: system, content: You are an expert in packaging.}]
---
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: coding, name: plain}
spec: {messages: []}
"""


def target(name: str, *, questions: int = 4, trajectories: int = 3, **parts: Json) -> str:
    """Return the manifest of a target."""
    generator = {"type": "hardcoded", "questions": [f"Question {n}?" for n in range(questions)]}
    spec = {
        "teacher_prompt": "expert",
        "student_prompt": "plain",
        "generators": [generator],
        "num_traj_per_stimulus": trajectories,
        "max_tokens": 40,
        **parts.pop("spec", {}),
    }
    document = {
        "apiVersion": "reconciler/v1",
        "kind": "Target",
        "metadata": {"repo": "coding", "name": name},
        "spec": spec,
        **parts,
    }
    return yaml.safe_dump(document, sort_keys=False)


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Json]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Project:
    """A directory with manifests; ``access`` are the options that say which API is meant."""

    root: Path
    capture: pytest.CaptureFixture[str]
    access: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def write(self, name: str, *documents: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\n".join(dedent(document) for document in documents))

    def targets(self, *documents: str) -> None:
        self.write("targets.yaml", *documents)

    def run(self, command: str, *options: str, access: tuple[str, ...] | None = None) -> Ended:
        """Run a command in this process."""
        given = self.access if access is None else access
        return ended(self.capture, command, str(self.root), *given, *options)

    def start(self, command: str, *options: str, **more: Any) -> subprocess.Popen[str]:
        """Run a command as a process of its own."""
        return process(
            command, str(self.root), *self.access, *options, env=self.environment, **more
        )

    @property
    def lockfile(self) -> Path:
        return self.root / "reconciler.lock"

    @property
    def lock(self) -> Json:
        value: Json = yaml.safe_load(self.lockfile.read_text())
        return value


def ended(capture: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    capture.readouterr()
    code = run(list(arguments))
    out, err = capture.readouterr()
    return Ended(int(code), out, err)


def process(*arguments: str, env: Mapping[str, str], **more: Any) -> subprocess.Popen[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BREAD_", "RECONCILER_"))}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(
        [sys.executable, "-m", "reconciler", *arguments],
        env={**clean, **SAME_CODE, **env},
        text=True,
        **{**pipes, **more},
    )


def outcome(running: subprocess.Popen[str], timeout: float = 60) -> Ended:
    """Wait for a process; return how it ended."""
    out, err = running.communicate(timeout=timeout)
    return Ended(running.returncode, out, err)
