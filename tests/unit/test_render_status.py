"""The status table."""

from __future__ import annotations

import re
from typing import Any

from builders import API_URL, SPEC, declare, live_repo, look, planned, target

from reconciler.core.planning.report import report
from reconciler.render import status
from reconciler.render.style import Style

WANTED = {"stim": {"min_lines": 1}, "rollout": {"min_lines": 5}}


def table(live: Any, *more: Any, colour: bool = False) -> str:
    desired = declare(target(num_traj_per_stimulus=5, desired=WANTED, policy={"retries": 0}), *more)
    plan = planned(desired, {"coding": live})
    rows = report(desired, look({"coding": live}, desired), plan)
    return status.text(rows, plan, Style(colour=colour))


def live(**stages: Any) -> Any:
    return live_repo(targets={"t": {"config": {**SPEC, "num_traj_per_stimulus": 5}, **stages}})


DONE = {"stim": {"status": "complete", "lines": 2}, "rollout": {"status": "complete", "lines": 10}}
FAILED = {"stim": {"status": "failed", "lines": 1, "error": "out of memory"}}


def test_live_lines_stand_against_wanted_lines() -> None:
    assert table(live(**DONE)).splitlines() == [
        "TARGET    STIM             ROLLOUT",
        "coding/t  complete  2 / 2  complete  10 / 10",
        "",
        "Converged: live state satisfies every manifest.",
    ]


def test_errors_are_told_below_the_table() -> None:
    lines = table(live(**FAILED)).splitlines()
    assert "coding/t stim: out of memory" in lines
    assert lines[-1].startswith("Not converged: 1 blocked")


def test_a_missing_target_is_a_row_too() -> None:
    assert re.search(r"coding/t +missing +0 / 2 +missing +0 / 10", table(live_repo()))


def test_a_table_keeps_to_the_width() -> None:
    long = target("a-name-that-is-rather-long-for-a-column-of-a-table-but-allowed-all-the-same")
    assert max(map(len, table(live(**FAILED), long).splitlines())) <= 80


def test_a_status_that_nobody_knows_does_not_burst_the_table() -> None:
    odd = {"stim": {"status": "\x1b[31m" + "waiting for the moon " * 9, "lines": 1}}
    found = table(live(**odd))
    assert "\x1b" not in found
    assert max(map(len, found.splitlines())) <= 80


def test_colours_change_nothing_but_colours() -> None:
    painted = table(live(**FAILED), colour=True)
    assert painted != table(live(**FAILED))
    assert re.sub(r"\x1b\[[0-9]+m", "", painted) == table(live(**FAILED))


def test_json_tells_the_same() -> None:
    desired = declare(target(num_traj_per_stimulus=5, desired={"rollout": "none"}))
    state = {"coding": live(**DONE)}
    plan = planned(desired, state)
    told = status.json(API_URL, report(desired, look(state, desired), plan), plan)
    assert told == {
        "format": "reconciler/status/v1",
        "api_url": API_URL,
        "converged": True,
        "targets": [
            {
                "resource": "coding/t",
                "live_name": "t",
                "blocked": False,
                "stim": {
                    "status": "complete",
                    "lines": 2,
                    "expected": 2,
                    "wanted": 1,
                    "settled": True,
                },
                "rollout": {"status": "not_wanted", "settled": True},
            }
        ],
    }
