"""Metrics: OpenMetrics that parses strictly, labels that stay few, and every request counted."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client import REGISTRY, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from reconciler.service.telemetry.metrics import Measured, Metrics

from .asgi import ROUTE, begin, behaving, body, exchanged, scope_of, serving, waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3", dict)


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return every sample by its name, shortened, and the values of its labels."""
    text = metrics.text().decode()
    assert text.endswith("\n# EOF\n")
    families: list[Metric] = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # no types there
    assert all(family.documentation for family in families)
    found = [sample for family in families for sample in family.samples]
    prefix = "reconciler_service_"
    assert all(sample.name.startswith(prefix) for sample in found)
    return {
        (sample.name.removeprefix(prefix), tuple(sample.labels.values())): sample.value
        for sample in found
    }


def requests(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return how often which method, route and status came."""
    return {
        labels: value
        for (name, labels), value in samples(metrics).items()
        if name == "requests_total"
    }


class TestMetrics:
    def test_the_version(self, metrics: Metrics) -> None:
        assert samples(metrics)["build_info", ("1.2.3",)] == 1

    def test_rows_and_jobs(self, metrics: Metrics) -> None:
        assert samples(metrics)["rows_total", ("rollout",)] == 0
        metrics.rows("stim", 3)
        metrics.rows("stim", 4)
        metrics.job_ended("rollout", "failed")
        found = samples(metrics)
        assert found["rows_total", ("stim",)] == 7
        assert found["rows_total", ("rollout",)] == 0
        assert found["jobs_ended_total", ("rollout", "failed")] == 1
        assert found["jobs_ended_total", ("rollout", "complete")] == 0

    def test_the_model_endpoint(self, metrics: Metrics) -> None:
        assert samples(metrics)["model_requests_total", ("answers", "timeout")] == 0
        metrics.model_request("answers", "ok", 0.3)
        metrics.model_request("answers", "rate_limited", 0.1)
        metrics.model_tokens(100, 20)
        metrics.model_tokens(-1, 1)
        found = samples(metrics)
        assert found["model_requests_total", ("answers", "rate_limited")] == 1
        assert found["model_request_duration_seconds_count", ("answers",)] == 2
        assert found["model_request_duration_seconds_sum", ("answers",)] == pytest.approx(0.4)
        assert found["model_tokens_total", ("prompt",)] == 100
        assert found["model_tokens_total", ("completion",)] == 21

    def test_whether_the_model_is_up(self, metrics: Metrics) -> None:
        assert ("model_up", ()) not in samples(metrics)
        for up in (True, False):
            metrics.model_up(up)
            assert samples(metrics)["model_up", ()] == up

    def test_jobs_are_counted_when_somebody_asks(self) -> None:
        counts = {("stim", "running"): 2, ("rollout", "failed"): 1}
        metrics = Metrics("1", lambda: counts)
        assert samples(metrics)["jobs", ("stim", "running")] == 2
        counts["stim", "running"] = 5
        assert samples(metrics)["jobs", ("stim", "running")] == 5
        assert samples(metrics)["jobs", ("rollout", "failed")] == 1

    def test_a_troubled_database_hides_nothing_else(self) -> None:
        def troubled() -> Mapping[tuple[str, str], int]:
            raise sqlite3.OperationalError("disk I/O error")

        metrics = Metrics("1", troubled)
        metrics.rows("stim", 3)
        assert samples(metrics)["rows_total", ("stim",)] == 3

    def test_two_services_in_one_process(self, metrics: Metrics) -> None:
        other = Metrics("1.2.3", dict)
        metrics.rows("stim", 1)
        assert samples(other)["rows_total", ("stim",)] == 0
        assert not any("reconciler" in family.name for family in REGISTRY.collect())


class TestMeasured:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/whole", "201"),
            ("/parts", "201"),
            ("/fails", "500"),
            ("/fails-late", "201"),
            ("/silent", "aborted"),
        ],
    )
    def test_every_end_of_a_request(self, metrics: Metrics, path: str, status: str) -> None:
        app = Measured(behaving, metrics)
        if path.startswith("/fails"):
            with pytest.raises(OSError, match="on purpose"):
                exchanged(app, scope_of(path=path))
        else:
            exchanged(app, scope_of(path=path))
        assert requests(metrics) == {("GET", ROUTE, status): 1}
        found = samples(metrics)
        assert found["request_duration_seconds_count", ("GET", ROUTE)] == 1
        assert found["requests_in_flight", ()] == 0

    @pytest.mark.parametrize(("path", "status"), [("/waits", "aborted"), ("/waits-late", "201")])
    def test_a_cancelled_request(self, metrics: Metrics, path: str, status: str) -> None:
        async def cancelled() -> None:
            request = await waiting(Measured(behaving, metrics), scope_of(path=path))
            assert samples(metrics)["requests_in_flight", ()] == 1
            assert requests(metrics) == {}
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request

        asyncio.run(cancelled())
        assert samples(metrics)["requests_in_flight", ()] == 0
        assert requests(metrics) == {("GET", ROUTE, status): 1}

    def test_an_answer_is_passed_on_as_it_is(self, metrics: Metrics) -> None:
        sent = exchanged(Measured(behaving, metrics), scope_of(path="/parts"))
        assert sent == exchanged(behaving, scope_of(path="/parts"))

    def test_no_caller_adds_a_label(self, metrics: Metrics) -> None:
        async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
            await send(begin(404))
            await send(body(b""))

        for number in range(20):
            scope = scope_of(f"METHOD{number}", f"/secret/{number}", b"user_id=secret")
            exchanged(Measured(nowhere, metrics), scope)
        assert requests(metrics) == {("other", "other", "404"): 20}
        assert b"secret" not in metrics.text()

    def test_what_is_no_request_is_not_counted(self, metrics: Metrics) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert scope["type"] == "lifespan"

        exchanged(Measured(app, metrics), {"type": "lifespan"})
        assert requests(metrics) == {}


class TestScraping:
    def test_over_http(self, metrics: Metrics) -> None:
        with serving(Measured(behaving, metrics)) as url:
            head = httpx.head(f"{url}/metrics")
            get = httpx.get(f"{url}/metrics?x=1", headers={"Accept": "text/plain"})
        assert head.status_code == get.status_code == 200
        assert head.headers["content-type"] == get.headers["content-type"] == TYPE
        assert head.content == b""
        assert 'requests_total{method="HEAD",route="/metrics",status="200"} 1.0' in get.text
        assert "requests_in_flight 1.0" in get.text
        assert requests(metrics)["GET", "/metrics", "200"] == 1

    @pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
    def test_other_methods(self, metrics: Metrics, method: str) -> None:
        start, rest = exchanged(Measured(behaving, metrics), scope_of(method, "/metrics"))
        headers = dict(start["headers"])
        assert (start["status"], headers[b"allow"]) == (405, b"GET, HEAD")
        assert headers[b"content-type"] == b"application/json"
        refusal = json.loads(rest["body"])
        assert refusal["code"] == "METHOD_NOT_ALLOWED"
        assert refusal["error"] == refusal["message"] == f"Method {method} is not allowed here"
        assert requests(metrics) == {(method, "/metrics", "405"): 1}

    @pytest.mark.parametrize("path", ["/metrics/", "/metricsx", "/v1/metrics"])
    def test_paths_beside_it_are_the_application_s(self, metrics: Metrics, path: str) -> None:
        assert exchanged(Measured(behaving, metrics), scope_of(path=path))[0]["status"] == 201
