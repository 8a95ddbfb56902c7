"""The stim & rollout API in memory, at next to no cost, so that a benchmark measures its client.

Speaks just enough of the API for one user; jobs make nothing and take a random, secret time. Says
``listening on URL`` on stdout. Beside the API it answers ``GET /bench/report`` (requests by kind,
the most looks at one job, jobs with their times, the critical path, processor time spent), ``POST
/bench/complete`` (every stage of every target is complete from now on) and ``POST /bench/reset``
(forget the requests). It checks
no key, and never bounds, names or anything else that a service must check.

    python -m benchmarks.stub_service [--port 0] [--latency 0] [--seed 1]
        [--stim 2.0] [--rollout 3.0] [--spread 0.25] [--progress linear]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

MODEL = "Qwen/Qwen3-32B"
DEFAULTS: Json = {"temperature": 1.0, "num_traj_per_stimulus": 1, "max_concurrency": 10}
STAGES = ("stim", "rollout")
#: How jobs report: the share of the time that has passed to the share of the work they tell.
PROGRESS: dict[str, Callable[[float], float] | None] = {
    "linear": lambda share: share,
    "slow-start": lambda share: share**3,
    "stall": lambda share: min(0.5, 5 * share),
    "jump": lambda share: math.floor(4 * share) / 4,
    "absent": None,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How jobs go: seconds, spread evenly by so large a share either way, and what they tell."""

    seconds: dict[str, float]
    spread: float = 0.25
    seed: int = 1
    progress: str = "linear"

    def duration(self, target: str, stage: str) -> float:
        """Return the time that this job takes, the same for the same seed."""
        draw = random.Random(f"{self.seed} {target} {stage}").uniform(-1, 1)
        return self.seconds[stage] * (1 + self.spread * draw)


@dataclass(frozen=True, slots=True)
class Job:
    """One job; times on the clock of the event loop."""

    number: int
    started: float
    seconds: float
    expected: int

    @property
    def ends(self) -> float:
        """When it is complete."""
        return self.started + self.seconds


@dataclass(slots=True)
class Target:
    """A target: its config, once more as JSON, and its jobs by stage."""

    name: str
    config: Json
    text: bytes
    jobs: dict[str, Job] = field(default_factory=dict)

    @property
    def stimuli(self) -> int:
        """How many lines its stim has in the end."""
        generators = self.config.get("generators") or ()
        return sum(len(g.get("questions") or ()) or g.get("numq", 1) for g in generators)

    def expected(self, stage: str) -> int:
        """Return how many lines a stage has in the end."""
        each: int = self.config.get("num_traj_per_stimulus", 1)
        return self.stimuli * (each if stage == "rollout" else 1)


@dataclass(slots=True)
class Repo:
    """A repo, its prompts as JSON answers."""

    model: str
    prompts: dict[str, Json] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)


class RefusalError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Service:
    """The whole state, and the answers to requests."""

    def __init__(self, settings: Settings) -> None:
        self.requests: Counter[str] = Counter()
        self._settings = settings
        self._tell = PROGRESS[settings.progress]
        self._now = asyncio.get_running_loop().time
        self._repos: dict[str, Repo] = {}
        self._jobs = 0
        self._looks: Counter[bytes] = Counter()
        #: Whole answers that stay what they are until something is written: path to kind, answer.
        self._kept: dict[bytes, tuple[str, bytes]] = {}
        self._kept_finally: dict[bytes, tuple[str, bytes]] = {}

    def answer(self, method: bytes, path: bytes, body: bytes) -> bytes:
        """Return the whole answer to a request."""
        if method == b"GET":
            kept = self._kept_finally.get(path) or self._kept.get(path)
            if kept:
                self._count(kept[0], path)
                return kept[1]
        try:
            return self._answer(method.decode(), path, body)
        except RefusalError as refusal:
            text = str(refusal)
            code = HTTPStatus(refusal.status).name
            return _response({"error": text, "message": text, "code": code}, refusal.status)

    def _answer(self, method: str, path: bytes, body: bytes) -> bytes:
        parts = [unquote(part) for part in path.partition(b"?")[0].decode().split("/")[1:]]
        if parts[0] == "bench":
            return _response(self._aside(parts[1]))
        if parts == ["v1", "health"]:
            self.requests["health"] += 1
            return _response({"status": "healthy", "api": "stub", "version": "1"})
        if parts[:2] != ["v1", "repo"]:
            raise RefusalError(404, "Not found")
        value = json.loads(body) if body else {}
        if method == "GET":
            return self._read(path, parts[2:])
        self._kept.clear()
        if method == "DELETE":
            return self._delete(parts[2:])
        return self._write(parts[2:], value)

    def _count(self, kind: str, path: bytes) -> None:
        self.requests[kind] += 1
        if kind == "status":
            self._looks[path] += 1

    # Reading.

    def _read(self, path: bytes, parts: list[str]) -> bytes:
        match parts:
            case [repo, "targets", name, ("stim" | "rollout") as stage]:
                self._count("status", path)
                return self._status(path, self._target(repo, name), stage)
            case [repo, ("prompts" | "targets") as kind, name]:
                self.requests[kind.removesuffix("s")] += 1
                return self._keep(path, kind.removesuffix("s"), self._held(repo, kind, name))
            case [repo]:
                self.requests["repo"] += 1
                answer = {"repo_name": repo, "base_model": self._repo(repo).model}
                return self._keep(path, "repo", answer)
        self.requests["list"] += 1
        return self._keep(path, "list", self._listing(parts))

    def _held(self, repo: str, kind: str, name: str) -> Json:
        if kind == "targets":
            return {"target_name": name, "config": self._target(repo, name).config}
        prompt = self._repo(repo).prompts.get(name)
        if prompt is None:
            raise RefusalError(404, "Prompt not found")
        return prompt

    def _listing(self, parts: list[str]) -> Json:
        match parts:
            case []:
                return {"repos": list(self._repos)}
            case [repo, "prompts"]:
                return {"prompts": list(self._repo(repo).prompts)}
            case [repo, "targets"]:
                return {"targets": list(self._repo(repo).targets)}
        raise RefusalError(404, "Not found")

    def _keep(self, path: bytes, kind: str, value: Json) -> bytes:
        answer = _response(value)
        self._kept[path] = (kind, answer)
        return answer

    def _status(self, path: bytes, target: Target, stage: str) -> bytes:
        job = target.jobs.get(stage)
        if job and self._now() >= job.ends:
            answer = _complete(target, stage, job)
            self._kept_finally[path] = ("status", answer)
            return answer
        return self._unfinished(target, stage, job)

    def _unfinished(self, target: Target, stage: str, job: Job | None) -> bytes:
        if job is None:
            head = b'"status":"not_started","lines":0'
        elif self._tell is None:
            head = b'"status":"running","job_id":%d' % job.number
        else:
            share = self._tell(max(0.0, self._now() - job.started) / job.seconds)
            lines = int(share * job.expected)
            head = b'"status":"running","lines":%d,"progress_percent":%.2f,"job_id":%d' % (
                *(lines, 100 * share),
                job.number,
            )
        if stage == "rollout" and job:
            head += b',"total_expected":%d' % job.expected
        return _job_response(head, target)

    # Writing.

    def _write(self, parts: list[str], value: Json) -> bytes:
        match parts:
            case []:
                return self._create_repo(value)
            case [repo, "prompts"]:
                return self._create_prompt(self._repo(repo), value)
            case [repo, "targets"]:
                return self._create_target(self._repo(repo), value)
            case [repo, ("prompts" | "targets") as kind, "batch"]:
                return self._create_many(self._repo(repo), kind, value)
            case [repo, "targets", name, ("stim" | "rollout") as stage]:
                self.requests["start"] += 1
                return self._start(self._target(repo, name), stage)
        raise RefusalError(404, "Not found")

    def _create_repo(self, value: Json) -> bytes:
        self.requests["create"] += 1
        name, model = value["repo_name"], value.get("base_model") or MODEL
        status = 200 if name in self._repos else 201
        if self._repos.setdefault(name, Repo(model)).model != model:
            raise RefusalError(409, "Repository exists with another base model")
        return _response({"repo_name": name, "base_model": model}, status)

    def _create_prompt(self, repo: Repo, value: Json) -> bytes:
        self.requests["create"] += 1
        status = 200 if value["prompt_name"] in repo.prompts else 201
        if repo.prompts.setdefault(value["prompt_name"], value) != value:
            raise RefusalError(409, "Prompt exists with other content")
        return _response(value, status)

    def _create_target(self, repo: Repo, value: Json) -> bytes:
        self.requests["create"] += 1
        name = value["target_name"]
        status = 200 if name in repo.targets else 201
        target = _put_target(repo, value)
        return _response({"target_name": name, "config": target.config}, status)

    def _create_many(self, repo: Repo, kind: str, value: Json) -> bytes:
        self.requests["create"] += 1
        if kind == "targets":
            return _created([_put_target(repo, item).name for item in value["targets"]])
        for name, messages in value["prompts"].items():
            repo.prompts[name] = {"prompt_name": name, "messages": messages}
        return _created(list(value["prompts"]))

    def _start(self, target: Target, stage: str) -> bytes:
        now, stim = self._now(), target.jobs.get("stim")
        if stage == "rollout" and not (stim and now >= stim.ends):
            raise RefusalError(400, "Stim job must complete before running rollout")
        job = target.jobs.get(stage)
        if job is None:
            self._jobs += 1
            seconds = self._settings.duration(target.name, stage)
            job = target.jobs[stage] = Job(self._jobs, now, seconds, target.expected(stage))
        if now >= job.ends:
            return _complete(target, stage, job)
        return self._unfinished(target, stage, job)

    def _delete(self, parts: list[str]) -> bytes:
        self.requests["delete"] += 1
        repo, _, name = parts
        self._target(repo, name)
        del self._repo(repo).targets[name]
        self._kept_finally.clear()
        return _response({"message": "deleted"})

    def _repo(self, name: str) -> Repo:
        if name not in self._repos:
            raise RefusalError(404, "Repository not found")
        return self._repos[name]

    def _target(self, repo: str, name: str) -> Target:
        target = self._repo(repo).targets.get(name)
        if target is None:
            raise RefusalError(404, "Target not found")
        return target

    # Beside the API.

    def _aside(self, what: str) -> Json:
        if what == "complete":
            self._complete_all()
        elif what == "reset":
            self.requests.clear()
            self._looks.clear()
        elif what != "report":
            raise RefusalError(404, "Not found")
        return self.report()

    def _complete_all(self) -> None:
        for target in self._targets():
            for stage in STAGES:
                self._jobs += 1
                target.jobs[stage] = Job(self._jobs, self._now(), 0.0, target.expected(stage))

    def _targets(self) -> list[Target]:
        return [target for repo in self._repos.values() for target in repo.targets.values()]

    def report(self) -> Json:
        """Return what was asked, and how jobs went."""
        jobs = [
            {"target": target.name, "stage": stage, "started": job.started, "ended": job.ends}
            for target in self._targets()
            for stage, job in target.jobs.items()
        ]
        chains = (sum(job.seconds for job in t.jobs.values()) for t in self._targets())
        return {
            "requests": dict(self.requests),
            "most_looks": max(self._looks.values(), default=0),
            "jobs": jobs,
            "critical_path": max(chains, default=0.0),
            "processor_seconds": time.process_time(),
        }


def _put_target(repo: Repo, value: Json) -> Target:
    name, template = value["target_name"], value["template"]
    if template == "default":
        base: Json = {"model_name": repo.model, **DEFAULTS}
    elif template in repo.targets:
        base = repo.targets[template].config
    else:
        raise RefusalError(404, f"Template not found: '{template}'")
    config = {**base, **(value.get("overrides") or {})}
    found = repo.targets.get(name)
    if found is None:
        text = json.dumps(config).encode()
        found = repo.targets[name] = Target(name, config, text)
    if found.config != config:
        raise RefusalError(409, f"Target '{name}' exists with another config")
    return found


def _created(names: list[str]) -> bytes:
    return _response({"created": names, "failed": {}})


def _complete(target: Target, stage: str, job: Job) -> bytes:
    head = b'"status":"complete","lines":%d,"progress_percent":100' % job.expected
    if stage == "rollout":
        head += b',"total_expected":%d' % job.expected
    return _job_response(head, target)


def _job_response(head: bytes, target: Target) -> bytes:
    """Return a job status, with the settings under both of their names."""
    return _framed(b'{%b,"config":%b,"parameters":%b}' % (head, target.text, target.text))


def _response(value: Json, status: int = 200) -> bytes:
    return _framed(json.dumps(value).encode(), status)


_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_HEAD = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"


def _framed(body: bytes, status: int = 200) -> bytes:
    return _LINES[status] + _HEAD % len(body) + body


class Connection(asyncio.Protocol):
    """One connection, and what has arrived of its next request."""

    def __init__(self, service: Service, latency: float) -> None:
        self._service = service
        self._latency = latency
        self._arrived = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request, in order, each after the latency."""
        arrived = self._arrived + data if self._arrived else data
        while arrived:
            head = arrived.find(b"\r\n\r\n")
            end = _end(arrived, head)
            if head < 0 or end > len(arrived):
                break
            method, path, _ = arrived.split(b" ", 2)
            self._send(self._service.answer(method, path, arrived[head + 4 : end]))
            arrived = arrived[end:]
        self._arrived = arrived

    def _send(self, answer: bytes) -> None:
        if self._latency:
            loop = asyncio.get_running_loop()
            loop.call_later(self._latency, self._transport.write, answer)
        else:
            self._transport.write(answer)


def _end(arrived: bytes, head: int) -> int:
    """Return where the first request ends, given where its head does."""
    if arrived.startswith(b"GET "):
        return head + 4
    _, _, after = arrived[: head + 2].lower().partition(b"\r\ncontent-length:")
    return head + 4 + int(after.partition(b"\r\n")[0] or 0)


async def _serve(settings: Settings, port: int, latency: float) -> None:
    service = Service(settings)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(service, latency), "127.0.0.1", port, backlog=2000
    )
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stim", type=float, default=2.0, help="seconds of a stim job, about")
    parser.add_argument("--rollout", type=float, default=3.0, help="seconds of a rollout job")
    parser.add_argument("--spread", type=float, default=0.25, help="share that these vary by")
    parser.add_argument("--progress", choices=PROGRESS, default="linear")
    return parser.parse_args()


def main() -> None:
    options = _options()
    seconds = {"stim": options.stim, "rollout": options.rollout}
    settings = Settings(seconds, options.spread, options.seed, options.progress)
    asyncio.run(_serve(settings, options.port, options.latency))


if __name__ == "__main__":
    main()
