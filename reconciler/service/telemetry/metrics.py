"""What the service counts and measures, as OpenMetrics text at ``/metrics``.

Every label has few values, all known beforehand: never the name of a user, a repository, a prompt
or a target, and never anything else that a caller chose. Keeps a registry of its own.
"""

from __future__ import annotations

import sqlite3
import time
from http import HTTPStatus
from itertools import product
from typing import TYPE_CHECKING, TypedDict, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from reconciler.service.problems import ApiError
from reconciler.service.resources.config import ROLLOUT, STIM
from reconciler.service.state.store import COMPLETE, FAILED
from reconciler.service.telemetry.answers import Answer
from reconciler.service.wire import dumps
from reconciler.service.work.meter import Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/metrics"
OTHER = "other"
"""The label of what no caller may add values to: unknown methods and paths without a route."""
ABORTED = "aborted"
"""The status of a request whose client was gone before the answer began."""

_NAMESPACE = "reconciler_service"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_MODEL_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)


class _More(TypedDict):
    namespace: str
    registry: CollectorRegistry


class Metrics:
    """Counters, histograms and gauges of one service; a Meter of its work.

    ``jobs`` counts the jobs by stage and status; it is asked at every scrape, on the thread of
    ``text``, and may raise sqlite3.Error, which leaves only that gauge without values.
    """

    def __init__(self, version: str, jobs: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._registry = CollectorRegistry()
        self._jobs = jobs
        self._model_up: bool | None = None
        more: _More = {"namespace": _NAMESPACE, "registry": self._registry}
        Info("build", "The version of the service.", **more).info({"version": version})
        self._requests = Counter(
            "requests", "Requests answered or given up.", ("method", "route", "status"), **more
        )
        self._request_seconds = Histogram(
            "request_duration_seconds",
            "Time from a request to the end of its answer.",
            ("method", "route"),
            buckets=_REQUEST_BUCKETS,
            **more,
        )
        self._in_flight = Gauge("requests_in_flight", "Requests being answered.", **more)
        self._rows = Counter("rows", "Stimuli and trajectories made.", ("stage",), **more)
        self._jobs_ended = Counter(
            "jobs_ended", "Jobs that this process ended.", ("stage", "status"), **more
        )
        model_requests = Counter(
            "model_requests", "Requests to the model endpoint.", ("kind", "outcome"), **more
        )
        model_seconds = Histogram(
            "model_request_duration_seconds",
            "Time of a request to the model endpoint, whatever came of it.",
            ("kind",),
            buckets=_MODEL_BUCKETS,
            **more,
        )
        model_tokens = Counter(
            "model_tokens", "Tokens, as the model endpoint counts them.", ("type",), **more
        )
        self._model = {
            (kind, outcome): (model_requests.labels(kind, outcome), model_seconds.labels(kind))
            for kind, outcome in product(get_args(Kind), get_args(Outcome))
        }
        self._tokens = [model_tokens.labels(kind) for kind in ("prompt", "completion")]
        self._begin_at_zero()
        self._registry.register(self)

    def request_began(self) -> None:
        """Count a request as in flight."""
        self._in_flight.inc()

    def request_ended(self, method: str, route: str, status: int | None, seconds: float) -> None:
        """Count a request as done; ``status`` is None when no answer was begun."""
        method = method if method in _METHODS else OTHER
        self._in_flight.dec()
        self._requests.labels(method, route, str(status or ABORTED)).inc()
        self._request_seconds.labels(method, route).observe(seconds)

    def rows(self, stage: str, count: int) -> None:
        """Count rows that a job has made."""
        self._rows.labels(stage).inc(count)

    def job_ended(self, stage: str, status: str) -> None:
        """Count a job that is complete or has failed."""
        self._jobs_ended.labels(stage, status).inc()

    def model_request(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        """Count one request to the model endpoint and how long it took."""
        requests, durations = self._model[kind, outcome]
        requests.inc()
        durations.observe(seconds)

    def model_tokens(self, prompt: int, completion: int) -> None:
        """Count tokens as the model endpoint reports them, which may be nonsense below zero."""
        for counter, tokens in zip(self._tokens, (prompt, completion), strict=True):
            counter.inc(max(0, tokens))

    def model_up(self, up: bool) -> None:
        """Note whether the model endpoint can be reached; without a word of it, nothing is said."""
        self._model_up = up

    def text(self) -> bytes:
        """Return everything as OpenMetrics text."""
        text: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]  # no types there
        return text

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield what is asked for at every scrape instead of being counted; for the registry."""
        jobs = GaugeMetricFamily(
            f"{_NAMESPACE}_jobs", "Jobs in the data directory.", labels=("stage", "status")
        )
        for labels, count in self._job_counts().items():
            jobs.add_metric(labels, count)
        yield jobs
        if self._model_up is not None:
            name = f"{_NAMESPACE}_model_up"
            yield GaugeMetricFamily(
                name, "Whether the model endpoint answers.", value=int(self._model_up)
            )

    def _job_counts(self) -> Mapping[tuple[str, str], int]:
        try:
            return self._jobs()
        except sqlite3.Error:
            return {}

    def _begin_at_zero(self) -> None:
        """Show every series from the start, so that its first increase is seen as one."""
        for stage in (STIM, ROLLOUT):
            self._rows.labels(stage)
        for labels in product((STIM, ROLLOUT), (COMPLETE, FAILED)):
            self._jobs_ended.labels(*labels)


class Measured:
    """An application whose requests are measured, and which answers ``/metrics`` itself.

    The application notes in the scope, as ``route_path``, which route a request took.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and count it, even if its client is gone or the application fails."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        app = self._scraped if scope["path"] == PATH else self._app
        answer = Answer(scope, send)
        started = time.perf_counter()
        self._metrics.request_began()
        try:
            await answer.of(app, scope, receive)
        finally:
            route = scope.get("route_path") or OTHER
            seconds = time.perf_counter() - started
            self._metrics.request_ended(scope["method"], route, answer.status, seconds)

    async def _scraped(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route_path"] = PATH
        await self._response(scope["method"])(scope, receive, send)

    def _response(self, method: str) -> Response:
        if method in {"GET", "HEAD"}:
            return Response(self._metrics.text(), media_type=CONTENT_TYPE_LATEST)
        error = ApiError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"Method {method} is not allowed here",
            headers={"Allow": "GET, HEAD"},
        )
        return Response(
            dumps(error.body()), error.status, error.headers, media_type="application/json"
        )
