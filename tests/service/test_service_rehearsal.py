"""Failure on demand: what a script may say, which rule strikes, and what a client then sees."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import socket
import threading
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from reconciler.service import ServiceError
from reconciler.service.rehearsal.jobs import Fate, Fates
from reconciler.service.rehearsal.reading import LARGEST, load
from reconciler.service.rehearsal.requests import Rehearsed, abortable
from reconciler.service.rehearsal.script import (
    Amount,
    JobRule,
    RequestRule,
    Script,
    Turns,
    When,
    fits,
)
from reconciler.service.work.model import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Receive, Scope, Send

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "rehearsal.md"
SCHEMA = json.loads((ROOT / "schemas" / "rehearsal.v1.json").read_bytes())


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | bytes], Script]:
    monkeypatch.chdir(tmp_path)

    def read(text: str | bytes) -> Script:
        Path("r.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return load(Path("r.yaml"))

    return read


def documented() -> str:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    return str(example)


# Files

REFUSED = {
    "": "1:1: a rehearsal should be a mapping with requests and jobs, not nothing",
    "- 1": "1:1: a rehearsal should be a mapping with requests and jobs, not a list",
    "{}": "1:1: there are no rules here: list some under requests or jobs",
    "jobs:": "1:6: jobs should be a list of rules, not nothing",
    "jobs: [{delay: 1s}": "1:19: expected ',' or ']', but got '<stream end>'",
    "jobs: []\n---\njobs: []": "2:1: a rehearsal is one document; this begins another",
    "seed: &a 1\nrequests: *a": "2:11: aliases cannot be used here; write it out",
    "jobs: [!x {}]": '1:8: tags such as "!x" cannot be used here',
    "[" * 50_000: "1:9: this is nested too deeply",
    "jobs: []\njobs: []": '2:1: key "jobs" stands here twice',
    "? [a]\n: b\njobs: []": "1:3: a key must be a word",
    "seed: \a": "1:1: this file holds characters that YAML forbids",
    b"jobs: [{fail: caf\xe9}]": "1:1: this file is not in UTF-8",
    "#" * (LARGEST + 1): "1:1: this file is larger than 100 kB",
    "job: []\nrequests: []": '1:1: unknown key "job" (did you mean "jobs"?)',
    "xyz: 1\njobs: []": '1:1: unknown key "xyz" (known are seed, requests, jobs)',
    "seed: 2024-99-99\njobs: []": '1:7: seed should be a whole number, not "2024-99-99"',
    "requests: [foo]": "1:12: this should be a rule such as"
    ' {method: POST, path: "**/rollout", status: 402}, not "foo"',
    "requests: [{path: '**'}]": "1:12: this rule has no effect: give it a status, a delay or lose",
    "requests: [{statsu: 402}]": '1:13: unknown key "statsu" (did you mean "status"?)',
    "requests: [{status: 200}]": "1:21: status should be a status from 400 to 599, not 200",
    "requests: [{status: 402, lose: answer}]": "1:12: status and lose exclude each other:"
    " what is lost is not answered",
    "requests: [{delay: 1s, retry_after: 2}]": "1:12: message and retry_after are parts of"
    " an answer: give this rule a status too",
    "requests: [{delay: 1:30}]": "1:20: delay should be a duration such as 300ms, 2s or 1m, not 90",
    "requests: [{delay: 1s, probability: .nan}]": "1:37: probability should be a number above 0,"
    ' at most 1, not ".nan"',
    "requests: [{delay: 1s, path: v1}]": "1:30: path should be a path pattern such as"
    ' /v1/repo/*/targets/** or **/stim, not "v1"',
    "requests: [{delay: 1s, times: 0}]": "1:31: times should be a whole number from 1 on, not 0",
    "jobs: [{stage: stim}]": "1:8: this rule has no effect: give it fail, lines, stall or a delay",
    "jobs: [{fail: no, lines: 3}]": "1:8: fail, lines and stall exclude each other:"
    " a job ends in one way\nr.yaml:1:15: fail should be a sentence, not false",
    "jobs: [{delay: 1s, at: 3}]": "1:8: at says when a job fails or stalls:"
    " give this rule fail or stall too",
    "jobs: [{delay: 1s, target: coding}]": "1:28: target should be a pattern of REPO/NAME"
    ' such as coding/*, not "coding"',
    "jobs: [{lines: 120%}]": "1:16: lines should be a number of lines,"
    ' or a share such as 80%, not "120%"',
    "jobs: [{stall: false}]": "1:16: stall should be true, or a duration such as 30s, not false",
}


@pytest.mark.parametrize(
    ("text", "said"), REFUSED.items(), ids=[repr(text[:40]) for text in REFUSED]
)
def test_what_is_wrong_is_said_with_its_place(
    script: Callable[[str | bytes], Script], text: str | bytes, said: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        script(text)
    assert str(caught.value) == f"r.yaml:{said}"
    assert "reconciler schema rehearsal" in caught.value.hint


def test_everything_wrong_is_said_at_once(script: Callable[[str | bytes], Script]) -> None:
    with pytest.raises(ServiceError) as caught:
        script("seed: x\nrequests:\n- {tims: 2, status: 402}\njobs:\n- {fail: f, stage: stym}\n")
    places = [line.split(": ")[0] for line in str(caught.value).splitlines()]
    assert places == ["r.yaml:1:7", "r.yaml:3:4", "r.yaml:5:20"]


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ServiceError, match=r"Cannot read .*No such file|this is not a file"):
        load(tmp_path / name)


values: st.SearchStrategy[object] = st.sampled_from(
    [None, True, False, 0, 1, -1, 402, 0.5, "", "x", "1s", "5%", "a/b", "/a", "stim", "GET", [], {}]
)
keys = st.sampled_from(
    [key for kind in ("requestRule", "jobRule") for key in SCHEMA["$defs"][kind]["properties"]]
)
rule_lists = st.lists(st.dictionaries(keys, values, max_size=4) | values, max_size=3)
tops = st.dictionaries(st.sampled_from(["seed", "requests", "jobs"]), rule_lists | values)
noise = st.text(alphabet="{}[]:,-!&*?|>%#'\"\n at1jobsfil", max_size=60)


@given(tops.map(json.dumps) | noise)
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory: Any, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "rehearsal-of-anything.yaml"
    file.write_text(text)
    said = refusal(file)
    assert said is None or all(line.startswith(f"{file}:") for line in said.splitlines())


def refusal(file: Path) -> str | None:
    try:
        load(file)
    except ServiceError as error:
        return str(error)
    return None


# Which rule strikes


@pytest.mark.parametrize(
    ("pattern", "text", "is_fitting"),
    [
        ("/v1/repo/*/targets", "/v1/repo/r/targets", True),
        ("/v1/repo/*/targets", "/v1/repo/r/x/targets", False),
        ("/v1/repo/*/targets", "/v1/repo/r/targets/t", False),
        ("**/stim", "/v1/repo/r/targets/t/stim", True),
        ("/v1/**", "/v1/", True),
        ("coding/*", "coding/a.b", True),
        ("coding/a.b", "coding/axb", False),
        ("**", "line\nline", True),
    ],
)
def test_patterns(pattern: str, text: str, is_fitting: bool) -> None:
    assert fits(pattern, text) is is_fitting


def struck(rules: list[When], cases: int, seed: int = 0) -> list[int | None]:
    """Return which rule, by its place, strikes each of some cases that all rules fit."""
    told = [RequestRule(when=when, status=400 + place) for place, when in enumerate(rules)]
    turns = Turns(told, seed)
    found = [turns.first(lambda _: True) for _ in range(cases)]
    return [None if rule is None else (rule.status or 0) - 400 for rule in found]


whens = st.builds(
    When,
    skip=st.integers(0, 5),
    times=st.none() | st.integers(1, 5),
    probability=st.sampled_from([0.1, 0.5, 1.0]),
)


def test_a_rule_that_is_used_up_or_not_yet_due_leaves_a_case_to_the_next() -> None:
    rules = [When(skip=1, times=2), When(times=1), When()]
    assert struck(rules, 6) == [1, 0, 0, 2, 2, 2]


@given(st.lists(whens, max_size=4), st.integers(0, 40), st.integers())
def test_the_same_seed_strikes_the_same(rules: list[When], cases: int, seed: int) -> None:
    assert struck(rules, cases, seed) == struck(rules, cases, seed)


@given(st.lists(whens, max_size=4), st.integers(0, 40), st.integers())
def test_skip_and_times_are_bounds(rules: list[When], cases: int, seed: int) -> None:
    found = struck(rules, cases, seed)
    for place, rule in enumerate(rules):
        assert rule.times is None or found.count(place) <= rule.times
        assert place not in found[: rule.skip]


def test_a_probability_is_kept_and_seeds_differ() -> None:
    by_seed = [struck([When(probability=0.2)], 2000, seed) for seed in (1, 2)]
    assert by_seed[0] != by_seed[1]
    assert all(300 < found.count(0) < 500 for found in by_seed)


# Requests


class Tiny:
    """An application that says what was asked of it and remembers it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"].decode()
        self.seen.append(f"{scope['method']} {scope['path']}{body}")
        await JSONResponse({"fine": scope["path"]})(scope, receive, send)


class Served:
    """An application under a script, behind uvicorn on a real socket."""

    def __init__(self, http: httpx.Client, app: Tiny, naps: list[float]) -> None:
        self.http = http
        self.app = app
        self.naps = naps

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.http.request(method, path, **more)

    def statuses(self, method: str, path: str, times: int) -> list[int]:
        return [self.ask(method, path).status_code for _ in range(times)]


@contextmanager
def served(script: Script) -> Iterator[Served]:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    tiny = Tiny()
    config = uvicorn.Config(
        abortable(Rehearsed(tiny, script, nap)),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(base_url=url, timeout=60) as http:
                yield Served(http, tiny, naps)
        finally:
            server.should_exit = True
            thread.join()


STIM = "/v1/repo/r/targets/t/stim"


def test_a_refusal_has_the_shape_of_the_service(script: Callable[[str | bytes], Script]) -> None:
    rules = "requests: [{method: POST, status: 402}, {status: 429, retry_after: 3, message: Slow.}]"
    with served(script(rules)) as service:
        paid, slow = service.ask("POST", STIM, json={"a": 1}), service.ask("GET", STIM)
    sentence = "Payment Required (rehearsed)"
    assert paid.status_code == 402
    assert paid.json() == {"error": sentence, "message": sentence, "code": "PAYMENT_REQUIRED"}
    assert "retry-after" not in paid.headers
    assert slow.json() == {"error": "Slow.", "message": "Slow.", "code": "RATE_LIMITED"}
    assert (slow.status_code, slow.headers["retry-after"]) == (429, "3")
    assert service.app.seen == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(422, "VALIDATION_ERROR"), (503, "SERVICE_UNAVAILABLE"), (418, "HTTP_418"), (599, "HTTP_599")],
)
def test_any_status_of_an_error_can_be_rehearsed(
    script: Callable[[str | bytes], Script], status: int, code: str
) -> None:
    with served(script(f"requests: [{{status: {status}}}]")) as service:
        answer = service.ask("GET", STIM)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("detail" in answer.json()) is (status == 422)


def test_rules_choose_by_method_path_and_count(script: Callable[[str | bytes], Script]) -> None:
    rules = "requests: [{method: GET, path: '/v1/repo/*', status: 503, skip: 1, times: 2}]"
    with served(script(rules)) as service:
        assert service.statuses("POST", "/v1/repo/r", 3) == [200, 200, 200]
        assert service.statuses("GET", STIM, 3) == [200, 200, 200]
        assert service.statuses("GET", "/v1/repo/r", 5) == [200, 503, 503, 200, 200]


@pytest.mark.parametrize("path", ["/v1/health", "/metrics", "/openapi.json"])
def test_what_watches_the_service_is_spared_unless_it_is_named(
    script: Callable[[str | bytes], Script], path: str
) -> None:
    named = f"{{path: {path}, status: 500, skip: 1}}"
    with served(script(f"requests: [{{path: '/**', status: 503}}, {named}]")) as service:
        assert service.statuses("GET", path, 2) == [200, 500]


def test_a_delay_goes_before_whatever_else(script: Callable[[str | bytes], Script]) -> None:
    rules = "requests: [{delay: 300ms, times: 1}, {delay: 1.5m, status: 500}]"
    with served(script(rules)) as service:
        assert service.statuses("GET", STIM, 2) == [200, 500]
        assert service.naps == [0.3, 90.0]


@pytest.mark.parametrize(("lose", "seen"), [("request", []), ("answer", [f"POST {STIM}hello"])])
def test_a_lost_connection_gives_no_answer(
    script: Callable[[str | bytes], Script],
    caplog: pytest.LogCaptureFixture,
    lose: str,
    seen: list[str],
) -> None:
    caplog.set_level(logging.WARNING)
    with served(script(f"requests: [{{lose: {lose}, times: 1}}]")) as service:
        with pytest.raises(httpx.TransportError):
            service.ask("POST", STIM, content="hello")
        assert service.app.seen == seen
        assert service.ask("GET", STIM).status_code == 200
    assert caplog.records == []


def test_a_lost_connection_sends_not_a_byte(script: Callable[[str | bytes], Script]) -> None:
    with served(script("requests: [{lose: answer}]")) as service:
        host, port = service.http.base_url.host, service.http.base_url.port
        assert port is not None
        with socket.create_connection((host, port), timeout=60) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert raw.recv(1) == b""


def test_a_large_body_that_nobody_reads_does_no_harm(
    script: Callable[[str | bytes], Script],
) -> None:
    with served(script("requests: [{lose: request, times: 1}]")) as service:
        with pytest.raises(httpx.TransportError):
            service.ask("POST", STIM, content=bytes(2_000_000))
        assert service.ask("GET", STIM).status_code == 200


# Jobs


def lived(fate: Fate, total: int, first: int = 0) -> int | str:
    """Return how many lines a job has at its end, or the sentence it fails with."""

    async def work() -> int:
        for n in range(first, total):
            if not await fate.before(n, total):
                return n
        return total

    try:
        return asyncio.run(work())
    except ModelError as error:
        return str(error)


@pytest.mark.parametrize(
    ("effect", "total", "lines"),
    [
        ("lines: 80%", 10, 8),
        ("lines: 29%", 100, 29),
        ("lines: 80%", 3, 2),
        ("lines: 12.5%", 8, 1),
        ("lines: 5", 10, 5),
        ("lines: 50", 10, 10),
        ("lines: 0", 10, 0),
        ("lines: 100%", 10, 10),
        ("delay: 0s", 10, 10),
    ],
)
def test_a_job_with_fewer_lines(
    script: Callable[[str | bytes], Script], effect: str, total: int, lines: int
) -> None:
    fates = Fates(script(f"jobs: [{{{effect}}}]"))
    assert lived(fates.of(1, "rollout", "r/t"), total) == lines


@pytest.mark.parametrize(
    ("at", "total", "made"),
    [("", 4, 0), (", at: 50%", 4, 2), (", at: 1", 4, 1), (", at: 100%", 4, 3), (", at: 9", 4, 3)],
)
def test_a_job_that_fails_makes_some_lines_before(
    script: Callable[[str | bytes], Script], at: str, total: int, made: int
) -> None:
    fate = Fates(script(f"jobs: [{{fail: Out of memory{at}}}]")).of(1, "stim", "r/t")
    assert [lived(fate, total, n) for n in range(made, total)] == ["Out of memory"] * (total - made)
    assert asyncio.run(_all_pass(fate, made, total))


async def _all_pass(fate: Fate, lines: int, total: int) -> bool:
    return all([await fate.before(n, total) for n in range(lines)])


def test_without_a_rule_nothing_happens() -> None:
    assert lived(Fates().of(1, "stim", "r/t"), 10) == 10
    assert lived(Fates(Script()).of(1, "stim", "r/t"), 10) == 10


def test_rules_choose_by_target_and_stage(script: Callable[[str | bytes], Script]) -> None:
    fates = Fates(script("jobs: [{target: 'a/*', stage: stim, lines: 1}, {target: b/t, lines: 2}]"))
    jobs = [("stim", "a/t"), ("rollout", "a/t"), ("stim", "b/t"), ("stim", "b/u")]
    assert [lived(fates.of(n, *job), 5) for n, job in enumerate(jobs)] == [1, 5, 2, 5]


def test_attempts_are_counted_and_resuming_is_none(script: Callable[[str | bytes], Script]) -> None:
    fates = Fates(script("jobs: [{fail: Once, times: 1}]"))
    ends = [lived(fates.of(job, "stim", "r/t"), 5) for job in (7, 7, 8, 7, 9)]
    assert ends == ["Once", "Once", 5, "Once", 5]


def test_lines_that_are_made_at_a_time_share_one_stall(
    script: Callable[[str | bytes], Script],
) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        await asyncio.sleep(0)

    async def work() -> list[bool]:
        fate = Fates(script("jobs: [{stall: 30s, at: 2, delay: 100ms}]"), nap).of(1, "stim", "r/t")
        return await asyncio.gather(*(fate.before(n, 5) for n in range(5)))

    assert asyncio.run(work()) == [True] * 5
    assert sorted(naps) == [0.1] * 5 + [30.0]


def test_a_stall_for_good_ends_with_the_job_alone(script: Callable[[str | bytes], Script]) -> None:
    fate = Fates(script("jobs: [{stall: true, at: 1}]")).of(1, "rollout", "r/t")

    async def work() -> bool:
        assert await fate.before(0, 5)
        async with asyncio.timeout(0.02):
            return await fate.before(1, 5)

    with pytest.raises(TimeoutError):
        asyncio.run(work())


@given(st.integers(0, 130), st.booleans(), st.integers(1, 50))
def test_a_job_never_has_more_lines_than_it_may(number: int, is_share: bool, total: int) -> None:
    number = min(number, 100) if is_share else number
    most = Amount(Fraction(number, 100 if is_share else 1), is_share)
    fates = Fates(Script(jobs=(JobRule(lines=most),)))
    lines = lived(fates.of(1, "stim", "r/t"), total)
    assert lines == (total * number // 100 if is_share else min(number, total))


# The page for users


def test_the_example_of_the_documentation_does_what_it_says(
    script: Callable[[str | bytes], Script],
) -> None:
    told = script(documented())
    rollout = "/v1/repo/r/targets/t/rollout"
    with served(told) as service:
        assert service.statuses("POST", rollout, 2) == [402, 200]
        assert service.statuses("GET", "/v1/repo/r", 16) == [200] * 10 + [429] * 5 + [200]
        with pytest.raises(httpx.TransportError):
            service.statuses("POST", STIM, 20)
        service.statuses("GET", STIM, 30)
        assert set(service.naps) == {0.3}
    fates = Fates(told)
    assert lived(fates.of(1, "stim", "coding/t"), 10) == "CUDA out of memory"
    assert lived(fates.of(2, "stim", "coding/t"), 10) == 10
    assert lived(fates.of(3, "rollout", "r/short"), 10) == 8
    assert told.jobs[2].stall == math.inf
