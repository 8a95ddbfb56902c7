"""What a recipe finds around it: a remote repository, a clean environment, programs on the PATH."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import reconciler

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
RECIPES = HERE.parents[1] / "examples" / "ci"
LOCKFILE = "targets/reconciler.lock"

PROJECT = """\
apiVersion: reconciler/v1
kind: Repo
metadata: {name: reviewing}
spec: {base_model: Qwen/Qwen3-32B}
---
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: reviewing, name: reviewer}
spec: {messages: [{role: system, content: Review.}]}
"""


def target(name: str, questions: str = "May it be merged?", tokens: int = 20) -> str:
    """Return the manifest of a target."""
    return f"""\
apiVersion: reconciler/v1
kind: Target
metadata: {{repo: reviewing, name: {name}}}
spec:
  teacher_prompt: reviewer
  student_prompt: reviewer
  generators: [{{type: hardcoded, questions: [{questions}]}}]
  max_tokens: {tokens}
"""


def begun() -> dict[str, str]:
    """Return the files of a repository that has one target."""
    return {"targets/project.yaml": PROJECT, "targets/one.yaml": target("one")}


@dataclass(frozen=True)
class Forge:
    """A bare repository that everybody pushes to, below ``root``."""

    root: Path
    environment: Mapping[str, str]

    @property
    def remote(self) -> Path:
        return self.root / "team" / "models.git"

    @property
    def url(self) -> str:
        return self.remote.as_uri()

    def push(self, files: Mapping[str, str], branch: str = "main") -> None:
        """Commit files as a colleague does, upon what the remote has."""
        clone = Path(tempfile.mkdtemp(prefix="colleague-", dir=self.root))
        self.git("clone", "--quiet", self.url, str(clone))
        start = f"origin/{branch}" if branch in self.branches() else "HEAD"
        if self.branches():
            self.git("checkout", "--quiet", "-B", branch, start, cwd=clone)
        for name, text in files.items():
            path = clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all", cwd=clone)
        self.git("commit", "--quiet", "--message", f"Change {', '.join(files)}", cwd=clone)
        self.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}", cwd=clone)

    def branches(self) -> list[str]:
        form = "--format=%(refname:short)"
        return self.git("for-each-ref", form, "refs/heads", cwd=self.remote).split()

    def subjects(self) -> list[str]:
        """Return the subjects of the commits on main, the newest first."""
        return self.git("log", "--format=%s", "main", cwd=self.remote).splitlines()

    def committers(self) -> list[str]:
        return self.git("log", "--format=%an", "main", cwd=self.remote).splitlines()

    def read(self, name: str) -> str:
        return self.git("show", f"main:{name}", cwd=self.remote)

    def changed(self) -> list[str]:
        """Return the files that the newest commit on main changed."""
        return self.git("show", "--name-only", "--format=", "main", cwd=self.remote).split()

    def refuse_pushes(self, times: int) -> None:
        """Let the remote refuse the next pushes, as it does while somebody else is faster."""
        hook = self.remote / "hooks" / "update"
        hook.write_text(
            f"#!/bin/sh\necho push >> refused\n[ $(wc -l < refused) -gt {times} ] || exit 1\n"
        )
        hook.chmod(0o755)

    def pushes(self) -> int:
        return len((self.remote / "refused").read_text().splitlines())

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd or self.root,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


def forge(root: Path) -> Forge:
    """Make a forge with one commit on main."""
    home = root / "home"
    home.mkdir()
    environment = {
        "PATH": f"{_programs(root)}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "PYTHONPATH": str(Path(reconciler.__file__).parents[1]),
        "GH_STATE": str(root / "github"),
    }
    person = {"NAME": "Colleague", "EMAIL": "colleague@example.com"}
    people = {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in person.items()}
    made = Forge(root, {**environment, **people})
    made.remote.mkdir(parents=True)
    made.git("init", "--quiet", "--bare", "--initial-branch=main", cwd=made.remote)
    made.push(begun())
    return made


def _programs(root: Path) -> Path:
    """Make a directory with the programs that a hosted runner has, or stand-ins for them."""
    directory = root / "programs"
    directory.mkdir()
    lines = {
        "reconciler": f'exec "{sys.executable}" -P -m reconciler "$@"',
        "python": f'exec "{sys.executable}" "$@"',
        "gh": f'exec "{sys.executable}" "{HERE / "gh.py"}" "$@"',
        "pip": f'echo "$@" >> "{root / "installed"}"',
    }
    for name, line in lines.items():
        program = directory / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    return directory


def bash(script: str, *, cwd: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run a script as the runners of both forges do; return its exit code and what it wrote."""
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout
