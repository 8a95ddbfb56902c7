"""``watch`` as a process: rounds against the real service, signals, other runs, what is told."""

from __future__ import annotations

import json
import os
import pty
import queue
import re
import signal
import threading
import time
import urllib.request
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from watching.webhook import webhook

from reconciler import schema_files
from reconciler.core.errors import ExitCode
from reconciler.lockfile import hold

from .project import Ended, Json, Project, outcome, target
from .test_processes import assert_whole, is_running, wait_for

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

ROUNDS = Draft202012Validator(dict(schema_files.load("round")))
BROKEN: Json = {"generators": [{"type": "from_dataset", "dataset": "nowhere"}]}
SOON = 20.0


class Watching:
    """A watch under way, and its lines as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)

    def next(self) -> Json:
        """Return the next line, which is as its schema says."""
        value: Json = json.loads(self._lines.get(timeout=SOON))
        ROUNDS.validate(value)
        return value

    def is_silent(self, seconds: float) -> bool:
        time.sleep(seconds)
        return self._lines.empty()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        """Send a signal; return how it ended, with all lines that nobody has read yet."""
        self.send(number)
        code = self.process.wait(SOON)
        self.reader.join()
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get())
        assert self.process.stderr
        return Ended(code, "".join(lines), self.process.stderr.read())


@contextmanager
def watching(project: Project, *options: str, interval: str = "0.2s") -> Iterator[Watching]:
    given = ("--format", "json", "--interval", interval, *options)
    with project.start("watch", *given) as process:
        watch = Watching(process)
        try:
            yield watch
        finally:
            process.kill()
            watch.reader.join()


def test_it_converges_then_is_quiet_then_closes_a_new_gap(project: Project) -> None:
    with watching(project) as watch:
        first = watch.next()
        assert (first["ending"], first["round"]) == ("converged", 1)
        assert first["did"] == {"created": 5, "started": 4, "complete": 4}
        assert {c["change"] for c in first["changes"]} == {"converged"}
        assert watch.is_silent(1.0)
        before = project.lockfile.read_bytes()
        project.targets(target("one"), target("two", questions=2), target("three"))
        later = watch.next()
        assert later["round"] > 2
        assert [c["resource"] for c in later["changes"]] == ["coding/three"]
        assert project.lockfile.read_bytes() != before
        ended = watch.stop()
    assert (ended.code, ended.lines[-1]["why"]) == (ExitCode.OK, "SIGTERM")
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, ExitCode.OK), (signal.SIGINT, ExitCode.INTERRUPTED)]
)
def test_told_to_stop_while_jobs_run_it_records_what_is_known(
    slow_project: Project, number: signal.Signals, code: ExitCode
) -> None:
    with watching(slow_project) as watch:
        wait_for(lambda: is_running(slow_project))
        begun = time.monotonic()
        ended = watch.stop(number)
    assert ended.code == code
    assert time.monotonic() - begun < SOON
    assert ended.lines == [{"event": "stopped", "exit_code": int(code), "why": number.name}]
    assert "Traceback" not in ended.err
    assert_whole(slow_project)
    again = slow_project.run("apply", "--no-wait", "--format", "json")
    assert not [event for event in again.lines if event["event"] in {"created", "started"}]


def test_told_to_stop_while_it_pauses_it_stops_at_once(project: Project) -> None:
    with watching(project, interval="1h") as watch:
        watch.next()
        begun = time.monotonic()
        assert watch.stop().code == ExitCode.OK
    assert time.monotonic() - begun < SOON


def test_a_hangup_reads_the_manifests_anew_and_reconciles_at_once(project: Project) -> None:
    with watching(project, interval="1h") as watch:
        watch.next()
        project.targets(target("one"), target("two", questions=2), target("three"))
        watch.send(signal.SIGHUP)
        assert watch.next()["did"] == {"created": 1, "started": 2, "complete": 2}
        assert watch.stop().code == ExitCode.OK


def test_a_hangup_breaks_off_waiting_and_starts_nothing_twice(slow_project: Project) -> None:
    with watching(slow_project, interval="1h") as watch:
        wait_for(lambda: is_running(slow_project))
        quick = target("quick", questions=1, trajectories=1)
        slow = target("slow", questions=2, trajectories=300, spec={"max_concurrency": 1})
        slow_project.targets(slow, quick)
        watch.send(signal.SIGHUP)

        def is_quick_done() -> bool:
            lock = slow_project.lock["targets"].get("coding/quick", {})
            return bool(lock.get("rollout", {}).get("status") == "complete")

        wait_for(is_quick_done)
        assert watch.stop().code == ExitCode.OK
    assert slow_project.lock["targets"]["coding/slow"]["rollout"]["status"] == "running"


def test_whoever_closes_the_terminal_leaves_no_watch_behind(project: Project) -> None:
    master, slave = pty.openpty()
    running = project.start(
        "watch", stdin=slave, stdout=slave, stderr=slave, preexec_fn=partial(os.login_tty, slave)
    )
    os.close(slave)
    shown = b""
    while b"converged" not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    try:
        assert running.wait(SOON) != 0
    finally:
        running.kill()
        running.wait()
    assert project.run("apply").code == ExitCode.OK


def test_another_run_is_waited_for_and_told_of_once(project: Project) -> None:
    project.run("apply")
    with hold(project.root), watching(project) as watch:
        held = watch.next()
        assert (held["ending"], held["exit_code"]) == ("locked", ExitCode.LOCKED)
        assert "another run holds the lock" in held["error"]
        assert held["changes"] == []
        assert watch.is_silent(1.0)
        watch.stop()


def test_it_goes_on_when_the_other_run_has_ended(project: Project) -> None:
    with watching(project) as watch:
        with hold(project.root):
            first = watch.next()
        endings = [first["ending"]]
        while endings[-1] != "converged":
            endings.append(watch.next()["ending"])
        assert watch.stop().code == ExitCode.OK
    assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_manifests_that_break_later_are_told_and_nothing_is_done(project: Project) -> None:
    with watching(project) as watch:
        watch.next()
        before = project.lockfile.read_bytes()
        project.write("targets.yaml", "kind: [\n")
        broken = watch.next()
        assert (broken["ending"], broken["exit_code"]) == ("failed", ExitCode.INVALID)
        assert [c["change"] for c in broken["changes"]] == ["failed"]
        assert project.lockfile.read_bytes() == before
        again = watch.next()
        assert (again["ending"], again["changes"]) == ("failed", [])
        project.targets(target("one"), target("two", questions=2))
        mended = watch.next()
        while mended["ending"] != "converged":
            mended = watch.next()
        assert [(c["kind"], c["change"]) for c in mended["changes"]] == [("Project", "recovered")]
        assert mended["did"] == {}
        watch.stop()


WRONG = target("one", policy={"retries": "many"}) + "more: 1\n"


def problems(project: Project) -> list[str]:
    """Return what ``validate`` prints of each problem."""
    return project.run("validate").err.splitlines()[:-1]


def test_what_is_wrong_with_manifests_is_named(project: Project) -> None:
    with webhook() as received:
        with watching(project, "--notify-url", received.url) as watch:
            watch.next()
            project.targets(WRONG)
            broken = watch.next()
            watch.stop()
        first, *more = problems(project)
        told = f"the manifests are not valid: {first} (and {len(more)} more)"
        assert re.match(r".*targets\.yaml:\d+:\d+: ", first)
        assert broken["error"] == told
        (message,) = [it for it in received.messages if "failed" in it["summary"]]
        (transition,) = message["transitions"]
        assert broken["changes"] == [transition]
        assert transition["message"] == told[:300]


def test_all_that_is_wrong_with_manifests_is_told_once_for_each_change(project: Project) -> None:
    with watching(project) as watch:
        watch.next()
        project.targets(WRONG)
        for _ in range(3):
            assert watch.next()["exit_code"] == ExitCode.INVALID
        before = problems(project)
        project.targets("kind: [\n")
        (after,) = problems(project)
        while not watch.next()["error"].endswith(f": {after}"):
            pass
        ended = watch.stop()
    assert ended.err.splitlines()[1:] == [*before, after]
    assert len(before) == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--target", "coding/nothing"], ExitCode.USAGE),
        (["--interval", "0s"], ExitCode.USAGE),
        (["--shard", "3/2"], ExitCode.USAGE),
        (["--listen", "here"], ExitCode.USAGE),
        (["--metrics-file", "/nowhere/at/all.prom"], ExitCode.USAGE),
        (["--notify-url", "http://hooks.example/secret"], ExitCode.USAGE),
    ],
)
def test_what_no_round_can_mend_ends_it_at_once(
    project: Project, options: list[str], code: ExitCode
) -> None:
    ended = project.run("watch", *options)
    assert ended.code == code
    assert "secret" not in ended.err
    assert not project.lockfile.exists()


def test_invalid_manifests_and_a_missing_key_end_it_at_the_start(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("more.yaml", "kind: Nonsense\n")
    assert project.run("watch").code == ExitCode.INVALID
    (project.root / "more.yaml").unlink()
    monkeypatch.delenv("BREAD_API_KEY")
    ended = project.run("watch")
    assert ended.code == ExitCode.ERROR
    assert "BREAD_API_KEY is not set" in ended.err


def test_a_key_that_is_refused_ends_it_at_the_start(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREAD_API_KEY", "another-key")
    ended = project.run("watch", "--format", "json")
    assert ended.code == ExitCode.ERROR
    (line,) = ended.lines
    assert (line["event"], line["exit_code"]) == ("stopped", 1)
    assert "another-key" not in ended.out + ended.err


def test_an_api_that_is_away_is_a_failed_round_and_pauses_grow(project: Project) -> None:
    access = ("--api-url", "http://127.0.0.1:9")
    project.access = access
    with watching(project) as watch:
        found = [watch.next() for _ in range(3)]
        assert {r["ending"] for r in found} == {"failed"}
        assert found[0]["changes"]
        assert found[1]["changes"] == []
        pauses = [r["next_in"] for r in found]
        assert pauses[2] > 2 * pauses[0]
        assert watch.stop().code == ExitCode.OK
    assert not project.lockfile.exists()


def test_an_api_that_is_away_is_one_sentence_in_every_round(project: Project) -> None:
    project.access = ("--api-url", "http://127.0.0.1:9")
    project.targets(*(target(f"t{number}") for number in range(40)))
    running = project.start("watch", "--interval", "0.1s")
    assert running.stdout
    lines = [running.stdout.readline() for _ in range(2)]
    running.terminate()
    outcome(running)
    why = "GET /v1/repo/coding: connection refused"
    assert f"failed: 43 resources could not be read: {why} (in " in lines[0]
    assert f"failed: 43 resources: {why} (in " in lines[1]


def test_a_failing_target_is_told_once_and_leaves_the_others_alone(project: Project) -> None:
    project.targets(target("one"), target("broken", spec=BROKEN, policy={"retries": 0}))
    with watching(project) as watch:
        first = watch.next()
        assert first["ending"] == "blocked"
        changes = {c["resource"]: c["change"] for c in first["changes"]}
        assert changes == {"coding/one": "converged", "coding/broken": "blocked"}
        assert watch.is_silent(0.8)
        watch.stop()


def metrics(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


def test_metrics_and_probes_are_served_while_it_watches(project: Project) -> None:
    with watching(project, "--listen", "0") as watch:
        assert watch.process.stderr
        url = watch.process.stderr.readline().split()[-1]
        watch.next()
        assert url.startswith("http://127.0.0.1:")
        for path in ("healthz", "readyz"):
            with urllib.request.urlopen(f"{url}/{path}", timeout=60) as answer:
                assert answer.status == 200
        found = metrics(url)
        assert found["reconciler_targets", (("repo", "coding"), ("state", "converged"))] == 2
        assert found["reconciler_lines", (("repo", "coding"), ("stage", "rollout"))] == 18
        assert found["reconciler_wanted_lines", (("repo", "coding"), ("stage", "stim"))] == 2
        assert found["reconciler_api_requests_total", (("outcome", "ok"),)] > 10
        assert found["reconciler_rounds_total", (("ending", "converged"),)] >= 1
        watch.stop()


def test_people_read_one_line_a_round_and_where_it_went(project: Project) -> None:
    process = project.start("watch", "--interval", "30s")
    assert process.stdout
    line = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    ended = outcome(process)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  converged: 5 created, 4 started, 4 complete; "
        r"target coding/one converged; target coding/two converged "
        r"\(in [\d.]+s, next in [\d.]+s\)\n",
        line,
    )
    assert (ended.code, ended.out) == (ExitCode.INTERRUPTED, "")
    assert ended.err == (
        f"Watching {project.root}, every 30s.\n"
        "Stopped (SIGINT). Jobs go on; what is known is in the lockfile.\n"
    )


def test_verbose_tells_of_quiet_rounds_and_of_what_happens(project: Project) -> None:
    project.run("apply")
    process = project.start("watch", "-v", "--interval", "0.2s")
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGTERM)
    outcome(process)
    assert all("converged" in line for line in lines)


class TestNotifications:
    def test_apply_tells_of_changes_once(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with webhook() as received:
            monkeypatch.setenv("RECONCILER_NOTIFY_URL", received.url)
            assert project.run("apply").code == ExitCode.OK
            assert project.run("apply").code == ExitCode.OK
            (message,) = received.messages
            assert message["summary"] == "2 converged"
            assert {t["resource"] for t in message["transitions"]} == {"coding/one", "coding/two"}

            project.targets(target("one"), target("two", questions=2, spec={"max_tokens": 9}))
            for _ in range(2):
                assert project.run("apply").code == ExitCode.BLOCKED
            assert received.messages[-1]["summary"] == "1 blocked"
            project.targets(target("one"), target("two", questions=2))
            assert project.run("apply").code == ExitCode.OK
            assert received.messages[-1]["summary"] == "1 recovered"
            assert len(received.raw) == 3

    def test_a_state_that_was_lost_is_told_by_the_lockfile(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with webhook() as received:
            monkeypatch.setenv("RECONCILER_NOTIFY_URL", received.url)
            project.run("apply")
            (project.root / ".reconciler" / "rounds.json").unlink()
            project.run("apply")
            assert len(received.raw) == 1

    def test_a_webhook_in_trouble_is_a_warning_and_is_told_the_next_time(
        self, project: Project
    ) -> None:
        with webhook() as received:
            received.answers = [400]
            ended = project.run("apply", "--notify-url", received.url)
            assert ended.code == ExitCode.OK
            assert ended.err.endswith("warning: nobody was notified: 127.0.0.1 answers 400\n")
            assert "secret-part" not in ended.err + ended.out
            assert project.run("apply", "--notify-url", received.url).code == ExitCode.OK
            assert received.messages[1]["summary"] == "2 converged"

    def test_an_error_that_ends_the_run_is_told_and_its_end_too(self, project: Project) -> None:
        with webhook() as received:
            options = ("--notify-url", received.url)
            project.write("more.yaml", "kind: Nonsense\n")
            assert project.run("apply", *options).code == ExitCode.INVALID
            assert project.run("apply", *options).code == ExitCode.INVALID
            (project.root / "more.yaml").unlink()
            assert project.run("apply", *options).code == ExitCode.OK
            summaries = [message["summary"] for message in received.messages]
        assert summaries == ["1 failed", "1 recovered, 2 converged"]

    def test_wrong_usage_is_told_to_nobody_but_its_user(self, project: Project) -> None:
        with webhook() as received:
            options = ("--notify-url", received.url, "--target", "coding/nothing")
            assert project.run("apply", *options).code == ExitCode.USAGE
            assert received.raw == []

    def test_watch_tells_it_too_and_slack_gets_text(self, project: Project) -> None:
        with webhook() as received:
            options = ("--notify-url", received.url, "--notify-format", "slack")
            with watching(project, *options) as watch:
                watch.next()
                watch.stop()
            (message,) = received.messages
        assert message["text"].startswith("*reconciler*: 2 converged\n• target coding/one")

    def test_the_key_is_not_in_it(self, project: Project) -> None:
        with webhook() as received:
            project.targets(target("one", spec=BROKEN, policy={"retries": 0}))
            project.run("apply", "--notify-url", received.url)
            sent = [*received.raw, *map(str, received.headers)]
        assert sent
        assert not [text for text in sent if project.environment["BREAD_API_KEY"] in text]


class TestMetricsFile:
    def test_it_is_written_by_apply_and_counts_on(self, project: Project) -> None:
        file = project.root.parent / "reconciler.prom"
        for times in (1, 2):
            assert project.run("apply", "--metrics-file", str(file)).code == ExitCode.OK
            text = file.read_text()
            assert f'reconciler_rounds_total{{ending="converged"}} {times}\n' in text
        assert list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]

    def test_a_failed_run_keeps_the_moment_of_the_last_success(self, project: Project) -> None:
        file = project.root.parent / "reconciler.prom"
        options = ("--metrics-file", str(file))
        project.run("apply", *options)
        pattern = re.compile(r"^reconciler_last_success_timestamp_seconds (.*)$", re.MULTILINE)
        success = pattern.findall(file.read_text())
        project.write("more.yaml", "kind: Nonsense\n")
        assert project.run("apply", *options).code == ExitCode.INVALID
        assert pattern.findall(file.read_text()) == success
        assert 'reconciler_rounds_total{ending="failed"} 1\n' in file.read_text()

    def test_a_file_that_cannot_be_written_is_a_warning(self, project: Project) -> None:
        folder = project.root.parent / "metrics"
        folder.mkdir()
        (folder / "x").mkdir()
        ended = project.run("apply", "--metrics-file", str(folder / "x" / ".." / "y" / "z"))
        assert ended.code == ExitCode.USAGE
        gone = folder / "file"
        gone.mkdir()
        assert project.run("apply", "--metrics-file", str(gone)).code == ExitCode.USAGE

    def test_without_being_asked_nothing_is_kept(self, project: Project) -> None:
        project.run("apply")
        assert not (project.root / ".reconciler" / "rounds.json").exists()
