"""As much of GitLab as the recipe needs: rules, jobs, notes, and git over HTTP with tokens."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import tempfile
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import yaml

from .forge import RECIPES, Forge, bash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Json = dict[str, Any]
NOTE_TOKEN, PUSH_TOKEN, JOB_TOKEN = "may-write-notes", "may-push", "of-the-job"
#: Who may do what over git; the token of a job only reads.
_PUSHERS = {PUSH_TOKEN}
_READERS = {PUSH_TOKEN, JOB_TOKEN}
_ME = 42


@dataclass
class GitLab:
    """A running GitLab with one project, its notes, and what was called."""

    forge: Forge
    url: str = ""
    notes: list[Json] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    #: What happens elsewhere just before a push is answered, each once.
    before_push: deque[Callable[[], None]] = field(default_factory=deque)


@contextlib.contextmanager
def gitlab(forge: Forge) -> Iterator[GitLab]:
    """Serve a project on loopback until left."""
    made = GitLab(forge)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"gitlab": made}))
    made.url = f"http://127.0.0.1:{server.server_port}"
    forge.git("config", "http.receivepack", "true", cwd=forge.remote)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    gitlab: GitLab
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    do_PUT = do_POST  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: object) -> None:
        """Keep quiet: stderr belongs to the tests."""

    def _answer(self, body: bytes) -> None:
        if urlsplit(self.path).path.startswith("/team/models.git/"):
            self._git(body)
        else:
            self._api(body)

    def _api(self, body: bytes) -> None:
        parts = urlsplit(self.path).path.removeprefix("/api/v4/").split("/")
        self.gitlab.calls.append(f"{self.command} {'/'.join(parts)}")
        if self.headers.get("PRIVATE-TOKEN") != NOTE_TOKEN:
            self._send(401, {"message": "401 Unauthorized"})
        elif parts == ["user"]:
            self._send(200, {"id": _ME})
        elif parts[:5] == ["projects", "1", "merge_requests", "7", "notes"]:
            self._send(200, self._notes(parts[5:], body))
        else:
            self._send(404, {"message": "404 Not Found"})

    def _notes(self, rest: list[str], body: bytes) -> Any:
        notes = self.gitlab.notes
        if self.command == "GET":
            return notes
        text = parse_qs(body.decode(), strict_parsing=True)["body"][0]
        if self.command == "POST":
            notes.append({"id": 100 + len(notes), "author": {"id": _ME}, "body": text})
            return notes[-1]
        found = next(note for note in notes if note["id"] == int(rest[0]))
        found["body"] = text
        return found

    def _send(self, status: int, value: object) -> None:
        self._reply(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _git(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        pushes = "git-receive-pack" in self.path
        if self._password() not in (_PUSHERS if pushes else _READERS):
            self._reply(401, {"WWW-Authenticate": 'Basic realm="GitLab"'}, b"")
            return
        if parts.path.endswith("git-receive-pack") and self.gitlab.before_push:
            self.gitlab.before_push.popleft()()
        environment = {
            **self.gitlab.forge.environment,
            "GIT_PROJECT_ROOT": str(self.gitlab.forge.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": "somebody",
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = (line.split(": ", 1) for line in head.decode().split("\r\n"))
        headers = dict(lines)
        status = int(headers.pop("Status", "200").split()[0])
        self._reply(status, headers, content)

    def _password(self) -> str:
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        return base64.b64decode(given).decode().partition(":")[2]


def recipe() -> Json:
    """Return the jobs of the recipe, each with what it extends."""
    found: Json = yaml.safe_load((RECIPES / "gitlab" / ".gitlab-ci.yml").read_text())
    return {
        name: {**found.get(job.get("extends"), {}), **job}
        for name, job in found.items()
        if not name.startswith(".")
    }


@dataclass(frozen=True)
class Pipeline:
    """One pipeline: predefined variables, and those that the project has set."""

    gitlab: GitLab
    api: str
    predefined: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)

    def jobs(self, *changed: str) -> set[str]:
        """Return the jobs that these changes bring about."""
        return {
            name
            for name, job in recipe().items()
            if any(self._holds(rule, changed) for rule in job["rules"])
        }

    def _holds(self, rule: Json, changed: tuple[str, ...]) -> bool:
        left, right = (self._value(side) for side in rule["if"].split(" == "))
        forms = [re.escape(form).replace(r"\*\*/\*", ".*") for form in rule["changes"]]
        return left == right and any(re.fullmatch(f, name) for f in forms for name in changed)

    def _value(self, side: str) -> str:
        name = side.removeprefix("$")
        return self.predefined.get(name, "") if name != side else side.strip('"')

    def run(self, name: str) -> tuple[int, str, str]:
        """Run a job; return its exit code, its log and ``plan.md`` if it left one."""
        job = recipe()[name]
        forge = self.gitlab.forge
        workspace = Path(tempfile.mkdtemp(prefix="job-", dir=forge.root))
        branch = self.predefined["BRANCH"]
        origin = self.gitlab.url.replace("//", f"//gitlab-ci-token:{JOB_TOKEN}@")
        clone = ("clone", "--quiet", "--depth=20", "--branch", branch)
        forge.git(*clone, f"{origin}/team/models.git", str(workspace))
        commit = self.predefined.get("CI_COMMIT_SHA", "HEAD")
        forge.git("checkout", "--quiet", "--detach", commit, cwd=workspace)
        own = {k: v for k, v in forge.environment.items() if not k.startswith(("GIT_A", "GIT_C"))}
        environment = {
            **own,
            "GIT_CONFIG_NOSYSTEM": "1",
            **self.predefined,
            **job["variables"],
            **self.settings,
            "BREAD_BASE_URL": self.api,
        }
        script = "\n".join([*job["before_script"], *job["script"]])
        code, log = bash(script, cwd=workspace, env=environment)
        plan = workspace / "plan.md"
        return code, log, plan.read_text() if plan.exists() else ""


def merge_request(gitlab: GitLab, api: str, key: str, branch: str = "change") -> Pipeline:
    """Return the pipeline of a merge request within the project."""
    predefined = {
        "CI_PIPELINE_SOURCE": "merge_request_event",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_PROJECT_ID": "1",
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
        "BRANCH": branch,
        **_everywhere(gitlab),
    }
    settings = {"BREAD_API_KEY": key, "RECONCILER_NOTE_TOKEN": NOTE_TOKEN}
    return Pipeline(gitlab, api, predefined, settings)


def from_fork(pipeline: Pipeline) -> Pipeline:
    """Return the same pipeline for a merge request from a fork."""
    other = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2"}
    return replace(pipeline, predefined={**pipeline.predefined, **other})


def merge(gitlab: GitLab, api: str, key: str) -> Pipeline:
    """Return the pipeline of a merge to the default branch."""
    predefined = {
        "CI_PIPELINE_SOURCE": "push",
        "CI_COMMIT_BRANCH": "main",
        "CI_COMMIT_SHA": gitlab.forge.git("rev-parse", "main", cwd=gitlab.forge.remote).strip(),
        "BRANCH": "main",
        **_everywhere(gitlab),
    }
    return Pipeline(
        gitlab, api, predefined, {"BREAD_API_KEY": key, "RECONCILER_PUSH_TOKEN": PUSH_TOKEN}
    )


def _everywhere(gitlab: GitLab) -> dict[str, str]:
    return {
        "CI_API_V4_URL": f"{gitlab.url}/api/v4",
        "CI_DEFAULT_BRANCH": "main",
        "CI_JOB_URL": f"{gitlab.url}/team/models/-/jobs/1",
        "CI_PROJECT_URL": f"{gitlab.url}/team/models",
        "CI_SERVER_HOST": "gitlab.example.com",
    }
