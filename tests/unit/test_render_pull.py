"""How a pull is told: a line each, a summary, and the same as JSON."""

from __future__ import annotations

import pytest
from builders import target_id

from reconciler.core.model.desired import Stage
from reconciler.core.model.outputs import Pulled, PullResult, Verdict
from reconciler.render import pull
from reconciler.render.style import Style

PLAIN = Style()
DIGEST = "sha256:" + 64 * "a"


def pulled(verdict: Verdict, message: str = "", records: int = 0, size: int = 0) -> Pulled:
    digest, file = (DIGEST, "out/stim.jsonl") if records else ("", "")
    return Pulled(target_id(), Stage.STIM, verdict, message, file, records, size, digest)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pulled(Verdict.PULLED, "", 1, 12), "pulled      coding/t stim  1 record, 12 B"),
        (
            pulled(Verdict.REPLACED, "others before", 2000, 1234567),
            "replaced    coding/t stim  2,000 records, 1.2 MB, others before",
        ),
        (pulled(Verdict.FAILED, "a\x1b[31m\nb"), "failed      coding/t stim  a b"),
    ],
)
def test_an_output_is_a_line(value: Pulled, text: str) -> None:
    assert pull.line(value, PLAIN) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e9, "2.5 GB"), (7e15, "7,000.0 TB")],
)
def test_sizes_are_short(size: float, text: str) -> None:
    assert pull.size(size) == text


def test_a_summary_counts_what_there_is() -> None:
    found = (
        pulled(Verdict.PULLED, "", 3, 100),
        pulled(Verdict.UNCHANGED, "", 5, 900),
        pulled(Verdict.PENDING, "running"),
    )
    result = PullResult(found)
    assert pull.summary(result, PLAIN, "out") == (
        "Outputs: 1 pulled, 1 unchanged, 1 pending (3 records, 100 B). Files: out."
    )
    assert pull.summary(PullResult(found[1:2], check=True), PLAIN) == (
        "Checked: 1 unchanged (5 records, 900 B)."
    )


def test_json_tells_what_applies() -> None:
    body = pull.json(PullResult((pulled(Verdict.PULLED, "", 3, 9), pulled(Verdict.FAILED, "no"))))
    assert body["exit_code"] == 1
    assert {name for name, count in body["summary"].items() if count} == {"pulled", "failed"}
    assert body["outputs"] == [
        {
            "resource": "coding/t",
            "stage": "stim",
            "result": "pulled",
            "records": 3,
            "bytes": 9,
            "sha256": 64 * "a",
            "file": "out/stim.jsonl",
        },
        {"resource": "coding/t", "stage": "stim", "result": "failed", "message": "no"},
    ]
