"""Metrics: text that both parsers understand, numbers that add up, an HTTP server for them."""

from __future__ import annotations

import http.client
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from builders import declare, live_repo, recorded, repo, settled, target, target_id
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
from prometheus_client.parser import text_string_to_metric_families as older

from reconciler.core.errors import ReconcilerError
from reconciler.core.model.desired import Stage
from reconciler.core.selection.scope import Scope, narrow
from reconciler.core.watching.rounds import BOUNDS, Ending, Levels, Totals, levels
from reconciler.core.watching.standing import Standing, State
from reconciler.render.openmetrics import CONTENT_TYPE, text
from reconciler.workflow.watching.health import Health
from reconciler.workflow.watching.listener import Address, listening, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

names = st.text(min_size=1)
numbers = st.integers(0, 10**9)
all_levels = st.builds(
    Levels,
    st.dictionaries(st.tuples(names, st.sampled_from(State)), numbers, max_size=4),
    st.dictionaries(st.tuples(names, st.sampled_from(Stage)), numbers, max_size=4),
    st.dictionaries(st.tuples(names, st.sampled_from(Stage)), numbers, max_size=4),
)
rounds = st.lists(
    st.tuples(st.sampled_from(Ending), st.floats(0, 1e6), st.floats(0, 4e9)), max_size=6
)


def totalled(ended: list[tuple[Ending, float, float]]) -> Totals:
    totals = Totals()
    for ending, seconds, at in ended:
        totals = totals.plus(ending, seconds, at)
    return totals.asked({"ok": len(ended)})


def samples(told: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in strict(told)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


@given(all_levels, rounds)
def test_the_strict_parser_and_the_older_one_read_the_same(
    found: Levels, ended: list[tuple[Ending, float, float]]
) -> None:
    told = text(totalled(ended), found, "0.1.0")
    old = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in older(told)
        for sample in family.samples
    }
    assert samples(told) == old


@given(rounds)
def test_every_round_is_counted_once(ended: list[tuple[Ending, float, float]]) -> None:
    found = samples(text(totalled(ended), Levels(), "0.1.0"))
    by_ending = sum(
        value for (name, _), value in found.items() if name == "reconciler_rounds_total"
    )
    count = found["reconciler_round_duration_seconds_count", ()]
    last = found["reconciler_round_duration_seconds_bucket", (("le", "+Inf"),)]
    assert by_ending == count == last == len(ended)


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_duration_at_a_bound_is_within_it(bound: float) -> None:
    found = samples(text(Totals().plus(Ending.CONVERGED, bound, 0.0), Levels(), "0.1.0"))
    assert found["reconciler_round_duration_seconds_bucket", (("le", str(bound)),)] == 1


def test_only_a_round_that_did_not_fail_is_a_success() -> None:
    totals = Totals().plus(Ending.BLOCKED, 1.0, 10.0).plus(Ending.FAILED, 1.0, 20.0)
    totals = totals.plus(Ending.LOCKED, 1.0, 30.0)
    assert (totals.last_round, totals.last_success) == (30.0, 10.0)


def test_before_the_first_round_there_is_no_moment_to_tell() -> None:
    told = text(Totals(), Levels(), "0.1.0")
    assert not [name for name, _ in samples(told) if name.endswith("timestamp_seconds")]
    assert told.endswith("# EOF\n")


def test_lines_and_targets_are_those_of_the_selection() -> None:
    whole = declare(repo(), target(), target("u", desired={"rollout": "none"}))
    lock = recorded(whole, settled(whole, {"coding": live_repo()}))
    standings = {target_id(): Standing(State.CONVERGED), target_id("u"): Standing(State.FAILED)}
    found = levels(whole, standings, lock)
    assert found.targets == {("coding", State.CONVERGED): 1, ("coding", State.FAILED): 1}
    assert found.wanted == {("coding", Stage.STIM): 2, ("coding", Stage.ROLLOUT): 1}
    part = levels(narrow(whole, Scope(targets=("coding/u",))), standings, lock)
    assert part.targets == {("coding", State.FAILED): 1}
    assert part.wanted == {("coding", Stage.STIM): 1}
    assert levels(whole, {}, None).lines == {
        ("coding", Stage.STIM): 0,
        ("coding", Stage.ROLLOUT): 0,
    }


class Site:
    def __init__(self, url: str) -> None:
        self.host, _, port = url.removeprefix("http://").rpartition(":")
        self.port = int(port)

    def get(self, path: str, method: str = "GET") -> tuple[int, str, str]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, answer.headers["Content-Type"], body


@pytest.fixture
def health() -> Health:
    return Health(60.0)


@pytest.fixture
def site(health: Health) -> Iterator[Site]:
    with listening(Address("127.0.0.1", 0), lambda: "# EOF\n", health) as url:
        yield Site(url)


def test_metrics_are_served_as_openmetrics(site: Site) -> None:
    assert site.get("/metrics") == (200, CONTENT_TYPE, "# EOF\n")
    assert site.get("/metrics?name=x")[0] == 200
    assert site.get("/metrics", "HEAD") == (200, CONTENT_TYPE, "")


def test_probes_follow_the_health(site: Site, health: Health) -> None:
    assert (site.get("/healthz")[0], site.get("/readyz")[0]) == (200, 503)
    health.begins()
    health.ends(success=True)
    assert site.get("/readyz")[0] == 200


def test_the_probe_of_a_watch_that_fails_says_so() -> None:
    now = [0.0]
    health = Health(60.0, lambda: now[0])
    now[0] = 200.0
    with listening(Address("127.0.0.1", 0), str, health) as url:
        assert Site(url).get("/healthz") == (
            503,
            "text/plain; charset=utf-8",
            "not ok: last success 200 s before\n",
        )


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 501), ("DELETE", 501)])
def test_there_is_nothing_else(site: Site, method: str, status: int) -> None:
    assert site.get("/", method)[0] == status


def test_silent_clients_hold_nobody_up(site: Site) -> None:
    silent = [socket.create_connection((site.host, site.port)) for _ in range(20)]
    assert site.get("/healthz")[0] == 200
    for client in silent:
        client.close()


def test_a_time_without_threads_is_survived(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(100):
            with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                site.get("/metrics")
    assert site.get("/metrics")[0] == 200


def test_nonsense_is_survived(site: Site) -> None:
    with socket.create_connection((site.host, site.port)) as client:
        client.sendall(b"\x00\xff\r\n\r\n")
        client.recv(4096)
    assert site.get("/healthz")[0] == 200


def test_a_port_that_is_taken_is_an_error_of_one_line(health: Health) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with (
            pytest.raises(ReconcilerError, match=r"cannot listen on 127.0.0.1:\d+: .* in use"),
            listening(address, str, health),
        ):
            pytest.fail("listens")


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("[::1]:0", ("::1", 0)),
        ("metrics.internal:80", ("metrics.internal", 80)),
    ],
)
def test_addresses_are_read(written: str, address: tuple[str, int]) -> None:
    assert parse(written) == address


@pytest.mark.parametrize("written", ["", "x", "65536", "::1:80", "a b:1", "127.0.0.1:", "-1"])
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"like 9464 or 127\.0\.0\.1:9464"):
        parse(written)
