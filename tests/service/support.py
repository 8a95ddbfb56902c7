"""What the service's tests share: calls over a real socket, and services as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.service.state.store import Store

KEY = "key-of-the-tests"
MASTER_KEY = "master-key-of-the-tests"
EXPERT = [
    {"role": "system", "content": "You are an expert in packaging and dependency resolution."}
]
HOST = Path(__file__).with_name("host.py")
LIMITED = """
import resource, runpy, sys
soft, hard = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script within limits of open files."""
TEMPLATE = "Write ${numq} questions about ${prompt_u}."

Json = dict[str, Any]


class Api:
    """A client of the API: every method returns the response, ``ok`` the body of a good one."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.http.request(method, path, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.call("GET", path, **more)

    def post(self, path: str, body: object = None) -> httpx.Response:
        return self.call("POST", path) if body is None else self.call("POST", path, json=body)

    def put(self, path: str, body: object) -> httpx.Response:
        return self.call("PUT", path, json=body)

    def delete(self, path: str) -> httpx.Response:
        return self.call("DELETE", path)

    def ok(self, method: str, path: str, body: object = None) -> Json:
        more = {} if body is None else {"json": body}
        response = self.call(method, path, **more)
        assert response.is_success, response.text
        answer: Json = response.json()
        return answer

    def target(self, name: str = "t", **overrides: Any) -> str:
        """Create repository r, prompt expert and a target; return the target's path."""
        self.ok("POST", "/v1/repo", {"repo_name": "r"})
        self.ok("POST", "/v1/repo/r/prompts", {"prompt_name": "expert", "messages": EXPERT})
        config = {"teacher_prompt": "expert", "generators": hardcoded("a", "b"), **overrides}
        body = {"target_name": name, "template": "default", "overrides": config}
        self.ok("POST", "/v1/repo/r/targets", body)
        return f"/v1/repo/r/targets/{name}"

    def run(self, stage_path: str) -> Json:
        """Start a stage and return its final status."""
        self.ok("POST", stage_path)
        return self.settled(stage_path)

    def settled(self, stage_path: str) -> Json:
        return self.until(stage_path, lambda status: status["status"] != "running")

    def until(self, stage_path: str, reached: Any, seconds: float = 60) -> Json:
        deadline = time.monotonic() + seconds
        while True:
            status = self.ok("GET", stage_path)
            if reached(status):
                return status
            assert time.monotonic() < deadline, f"never came about: {status}"
            time.sleep(0.01)

    def output(self, stage_path: str, limit: int = 1000) -> list[Any]:
        """Return all rows of a stage, page by page."""
        rows: list[Any] = []
        while True:
            page = self.ok("GET", f"{stage_path}/output?offset={len(rows)}&limit={limit}")
            rows += page["output"]
            if not page["has_more"]:
                return rows


def hardcoded(*questions: str, **more: Any) -> list[Json]:
    return [{"type": "hardcoded", "questions": list(questions), **more}]


def new_job(store: Store, stage: str, total: int) -> int:
    """Add a job to a stage of target t, made if need be, in place of the one before."""
    if store.repo("", "r") is None:
        store.add_repo("", "r", "model")
    repo = store.repo("", "r")
    assert repo is not None
    if store.target(repo.id, "t") is None:
        store.add_target(repo.id, "t", "{}", stim="{}", rollout="{}")
    row = store.stage("", "r", "t", stage)
    assert row is not None
    store.add_job(row.target, stage, "{}", total)
    row = store.stage("", "r", "t", stage)
    assert row is not None
    assert row.job is not None
    return row.job.id


@contextmanager
def client(url: str, *, key: str | None = KEY, user: str | None = None) -> Iterator[Api]:
    given = {"Authorization": f"Bearer {key}" if key else None, "X-User-Id": user}
    headers = {name: value for name, value in given.items() if value is not None}
    with httpx.Client(base_url=url, headers=headers, timeout=30, verify=False) as http:
        yield Api(http)


class Process:
    """A service as a process of its own; ``files`` are its limits of open files."""

    def __init__(self, data: Path, pace: float = 0.0, files: tuple[int, int] | None = None) -> None:
        limits = ["-c", LIMITED, *map(str, files)] if files else []
        command = [sys.executable, *limits, str(HOST), str(data), str(pace)]
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.popen.stdout is not None
        self.url: str = json.loads(self.popen.stdout.readline())["url"]

    def kill(self) -> None:
        self.popen.kill()
        self.wait()

    def terminate(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        code = self.popen.wait(timeout=60)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        return code


@contextmanager
def process(
    data: Path, pace: float = 0.0, files: tuple[int, int] | None = None
) -> Iterator[Process]:
    running = Process(data, pace, files)
    try:
        yield running
    finally:
        if running.popen.poll() is None:
            running.kill()
        assert running.popen.stdout is not None
        running.popen.stdout.close()


class Hatched:
    """A service as a forked process: ``url`` waits until it listens, ``kill`` until it is gone."""

    def __init__(self, reports: socket.socket) -> None:
        self._socket = reports
        self._reports = reports.makefile()
        self.is_running = True
        self.pid: int = json.loads(self._reports.readline())["pid"]

    @cached_property
    def url(self) -> str:
        said: Json = json.loads(self._reports.readline())
        return str(said["url"])

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._reports.read()
        self._reports.close()
        self._socket.close()
        self.is_running = False


class Hatchery:
    """Starts services as processes within milliseconds."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self.hatched: list[Hatched] = []

    def start(self, data: Path, **settings: Any) -> Hatched:
        ours, theirs = socket.socketpair()
        ours.settimeout(60)
        with theirs:
            request = json.dumps({"data": str(data), **settings}).encode()
            socket.send_fds(self._requests, [request], [theirs.fileno()])
        self.hatched.append(Hatched(ours))
        return self.hatched[-1]


@contextmanager
def hatchery() -> Iterator[Hatchery]:
    """Kills what is left at the end."""
    ours, theirs = socket.socketpair()
    with theirs:
        popen = subprocess.Popen([sys.executable, str(HOST)], stdin=theirs.fileno())
    hatching = Hatchery(ours)
    try:
        yield hatching
    finally:
        ours.close()
        for each in hatching.hatched:
            if each.is_running:
                each.kill()
        popen.wait(timeout=60)
