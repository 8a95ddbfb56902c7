"""Metrics as OpenMetrics text, in which the parsers of the older Prometheus format find sense too.

So one text serves a scrape and the textfile collector of the node exporter. Labels hold names of
repos and words of our own, never those of targets, users or keys.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from reconciler.core.model.desired import Stage
from reconciler.core.watching.rounds import BOUNDS, Ending
from reconciler.core.watching.standing import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.core.watching.rounds import Levels, Totals

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: What can come of a request to the API.
OUTCOMES = ("ok", "absent", "refused", "rate_limited", "server_error", "lost")
_PREFIX = "reconciler_"


def text(totals: Totals, levels: Levels, version: str) -> str:
    """Return all metrics."""
    lines = [*_build(version), *_levels(levels), *_totals(totals), "# EOF"]
    return "\n".join(lines) + "\n"


def _build(version: str) -> Iterator[str]:
    samples = [(_labels(version=version), 1)]
    # Not of the type info, which the older format does not know.
    yield from _family("build_info", "gauge", "The version of the reconciler.", samples)


def _levels(levels: Levels) -> Iterator[str]:
    repos = sorted({repo for repo, _ in (*levels.targets, *levels.wanted)})
    states = [(repo, state) for repo in repos for state in State]
    stages = [(repo, stage) for repo in repos for stage in Stage]
    yield from _family(
        "targets",
        "gauge",
        "Targets by how they stand.",
        (
            (_labels(repo=repo, state=state), levels.targets.get((repo, state), 0))
            for repo, state in states
        ),
    )
    for name, told, values in (
        ("lines", "Lines there are, as recorded last.", levels.lines),
        ("wanted_lines", "Lines there have to be at least (min_lines).", levels.wanted),
    ):
        samples = [
            (_labels(repo=repo, stage=stage), values[repo, stage])
            for repo, stage in stages
            if (repo, stage) in values
        ]
        yield from _family(name, "gauge", told, samples)


def _totals(totals: Totals) -> Iterator[str]:
    requests = _counted("outcome", OUTCOMES, totals.requests)
    yield from _family("api_requests", "counter", "Requests by what came of them.", requests)
    rounds = _counted("ending", Ending, totals.rounds)
    yield from _family("rounds", "counter", "Rounds by how they ended.", rounds)
    yield from _durations(totals)
    for name, told, moment in (
        ("last_round_timestamp_seconds", "When the last round ended.", totals.last_round),
        (
            "last_success_timestamp_seconds",
            "When the last round ended that did not fail.",
            totals.last_success,
        ),
    ):
        yield from _family(name, "gauge", told, [] if moment is None else [("", moment)])


def _counted(label: str, names: Iterable[str], counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(_labels(**{label: name}), counts.get(name, 0)) for name in names]


def _durations(totals: Totals) -> Iterator[str]:
    name = f"{_PREFIX}round_duration_seconds"
    yield from _head(name, "histogram", "How long rounds took.")
    bounds = [*map(str, BOUNDS), "+Inf"]
    counts = list(accumulate(totals.durations))
    for bound, count in zip(bounds, counts, strict=True):
        yield f"{name}_bucket{_labels(le=bound)} {count}"
    yield f"{name}_sum {totals.seconds!r}"
    yield f"{name}_count {counts[-1]}"


def _family(name: str, kind: str, told: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield from _head(_PREFIX + name, kind, told)
    suffix = "_total" if kind == "counter" else ""
    yield from (f"{_PREFIX}{name}{suffix}{labels} {value!r}" for labels, value in samples)


def _head(name: str, kind: str, told: str) -> tuple[str, str]:
    return f"# HELP {name} {told}", f"# TYPE {name} {kind}"


def _labels(**values: str) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
