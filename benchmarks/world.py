"""What benchmarks share: the stub of the API, a project of any size, and how to apply it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.common import ROOT
from reconciler.workflow.access import Access
from reconciler.workflow.loading import load
from reconciler.workflow.place import place
from reconciler.workflow.verbs.apply import ApplyOptions
from reconciler.workflow.verbs.apply import apply as apply_plan
from reconciler.workflow.verbs.planning import PlanOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: Any key will do for the stub.
KEY = "benchmark"
REPO, MODEL = "bench", "Qwen/Qwen3-32B"
_TEACHER = "Be brief, be exact, and say what you do not know."
_PER_FILE = 100
#: Whatever proxies the environment names.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Stub:
    """A stub of the API that runs."""

    url: str

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a request outside of all measuring."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        with _DIRECTLY.open(request) as answer:
            value: dict[str, Any] = json.load(answer)
            return value

    def report(self) -> dict[str, Any]:
        """Return requests by kind, the most for one job, the critical path, processor time."""
        return self.call("GET", "/bench/report")

    def create(self, count: int) -> None:
        """Hold what ``write_project`` declares, nothing of it run yet; forget the requests."""
        self.call("POST", "/v1/repo", {"repo_name": REPO, "base_model": MODEL})
        messages = {"teacher": [{"role": "system", "content": _TEACHER}]}
        self.call("POST", f"/v1/repo/{REPO}/prompts/batch", {"prompts": messages})
        items = [
            {"target_name": target_name(number), "template": "default", "overrides": spec(number)}
            for number in range(count)
        ]
        self.call("POST", f"/v1/repo/{REPO}/targets/batch", {"targets": items})
        self.call("POST", "/bench/reset")

    def complete(self) -> None:
        """Let every stage of every target be complete."""
        self.call("POST", "/bench/complete")


@contextmanager
def stub(**options: object) -> Iterator[Stub]:
    """Run the stub in a process of its own; the options are those of its command line."""
    given = [f"--{key}={value}" for key, value in options.items()]
    command = [sys.executable, "-m", "benchmarks.stub_service", *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        try:
            yield Stub(process.stdout.readline().split()[-1])
        finally:
            process.terminate()


def apply(project: Path, url: str, *, parallelism: int) -> float:
    """Return the seconds from reading the manifests to the lockfile; raises unless it converged."""
    begun = time.perf_counter()
    where = place(project)
    result = apply_plan(
        where,
        load(where).desired,
        Access(api_url=url, environment={"BREAD_API_KEY": KEY}),
        ApplyOptions(PlanOptions(parallelism=parallelism)),
        confirm=lambda _: True,
        emit=lambda _: None,
    )
    seconds = time.perf_counter() - begun
    if not result.converged:
        raise RuntimeError(f"did not converge: {result.outcomes}")
    return seconds


def target_name(number: int) -> str:
    """Return the name of a target."""
    return f"target-{number:05}"


def spec(number: int) -> dict[str, Any]:
    """Return the spec of a target: 20 questions, 5 trajectories each."""
    questions = {"type": "hardcoded", "questions": [f"What is {number}?", f"Why is {number}?"]}
    more = {"type": "oneshot_qs", "model": "claude-sonnet-4-5-20250929", "numq": 18}
    return {
        "teacher_prompt": "teacher",
        "generators": [questions, more],
        "num_traj_per_stimulus": 5,
        "max_tokens": 150,
    }


def write_project(project: Path, count: int, desired: dict[str, str] | None = None) -> None:
    """Write a repo, a prompt and targets, a hundred a file; JSON is YAML, too."""
    project.mkdir()
    repo = _document("Repo", {"name": REPO}, spec={"base_model": MODEL})
    write_documents(project / "repo.yaml", [repo, prompt("teacher", _TEACHER)])
    wanted = {"desired": desired} if desired else {}
    for start in range(0, count, _PER_FILE):
        numbers = range(start, min(start + _PER_FILE, count))
        targets = [target(number, **wanted) for number in numbers]
        write_documents(project / f"targets-{start:05}.yaml", targets)


def target(number: int, **blocks: Any) -> dict[str, Any]:
    """Return the manifest of a target."""
    return _document(
        "Target", {"repo": REPO, "name": target_name(number)}, spec=spec(number), **blocks
    )


def prompt(name: str, content: str) -> dict[str, Any]:
    """Return the manifest of a prompt."""
    spec = {"messages": [{"role": "system", "content": content}]}
    return _document("Prompt", {"repo": REPO, "name": name}, spec=spec)


def write_documents(path: Path, documents: Iterable[dict[str, Any]]) -> None:
    """Write manifests into one file."""
    path.write_text("".join(f"---\n{json.dumps(document)}\n" for document in documents))


def _document(kind: str, metadata: dict[str, str], **blocks: Any) -> dict[str, Any]:
    return {"apiVersion": "reconciler/v1", "kind": kind, "metadata": metadata, **blocks}
