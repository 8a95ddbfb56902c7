"""Reports to look at: of projects in all kinds of trouble, and of none."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.model.desired import Stage
from reconciler.core.model.history import History, Moment
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.plan import Action, Estimate, FieldDiff, Plan, Reason, Unknown, Verb
from reconciler.core.planning.report import StageRow, StatusRow
from reconciler.render.report.content import Report

NOT_WANTED = StageRow("not wanted", settled=True)
WAITING = StageRow("not_started", 0, 500, 400)
DONE = StageRow("complete", 500, 500, 400, settled=True)


def target(number: int, repo: str = "coding") -> ResourceId:
    return ResourceId(Kind.TARGET, repo, f"target-{number:04}")


def stages(number: int) -> tuple[StageRow, StageRow]:
    """Return one of ten ways in which a target may stand."""
    stim = StageRow("complete", 100, 100, 100, settled=True)
    error = "the model endpoint answered 503: overloaded"
    return {
        0: (StageRow("failed", 12, 100, 100, error=error), WAITING),
        1: (stim, StageRow("running", 312, 500, 400)),
        2: (StageRow("unknown", wanted=100), StageRow("unknown", wanted=400)),
        3: (StageRow("complete", 60, 100, 100), WAITING),
        4: (stim, NOT_WANTED),
    }.get(number % 10, (stim, DONE))


def rows(count: int) -> tuple[StatusRow, ...]:
    return tuple(
        StatusRow(
            target(number),
            target(number).name + ("-0a1b2c3d" if number % 7 == 0 else ""),
            dict(zip(Stage, stages(number), strict=True)),
            blocked=number % 10 in {0, 3},
        )
        for number in range(count)
    )


def actions(count: int) -> tuple[Action, ...]:
    """Return what goes with ``rows``."""
    found: list[Action] = []
    sentence = "the model endpoint answered 503: overloaded"
    for number in range(count):
        made = {
            0: Action(Verb.BLOCKED, target(number), Reason.RETRIES_EXHAUSTED, Stage.STIM,
                      lines=12, wanted=100, expected=100, message=sentence),
            1: Action(Verb.WAIT, target(number), Reason.IN_PROGRESS, Stage.ROLLOUT,
                      lines=312, wanted=400, expected=500),
            3: Action(Verb.BLOCKED, target(number), Reason.CONFIG_CHANGED,
                      diff=(FieldDiff("temperature", 1.0, number / 100),
                            FieldDiff("generators[0].numq", 100, 120))),
        }.get(number % 10)  # fmt: skip
        found.append(made or Action(Verb.UNCHANGED, target(number), Reason.CONVERGED))
    return tuple(found)


def history(count: int) -> History:
    moments = tuple(
        Moment(
            1_700_000_000 + 3_600 * number * number,
            f"2023-11-{14 + number // 24:02} {number % 24:02}:13",
            f"{number:010x}",
            number + 1,
            {Stage.STIM: 100 * number, Stage.ROLLOUT: 500 * max(0, number - 3)},
        )
        for number in range(count)
    )
    return History(moments, ("This clone is shallow.",))


def plan(count: int) -> Plan:
    unknown = tuple(Unknown(target(n), "502 Bad Gateway") for n in range(2, count, 10))
    return Plan(
        "https://bapi.bread.com.ai",
        actions(count),
        unknown=unknown,
        orphans=(target(1, "old"),),
        estimate=Estimate(100, 500, 75_000),
    )


def troubled(count: int = 40) -> Report:
    """Return a report of many targets of which a third is in trouble."""
    return Report("docs-assistant", rows(count), plan(count), history(30), "2026-01-31 12:00:00")


def converged(count: int = 3) -> Report:
    """Return a report of nothing but success."""
    calm = troubled(count)
    done = {Stage.STIM: DONE, Stage.ROLLOUT: DONE}
    return replace(
        calm,
        rows=tuple(replace(row, stages=done, blocked=False) for row in calm.rows),
        plan=Plan("local", tuple(
            Action(Verb.UNCHANGED, row.resource, Reason.CONVERGED) for row in calm.rows
        )),
        history=history(1),
    )  # fmt: skip


def empty() -> Report:
    """Return a report of a project that declares no target and has no history."""
    nothing = History(notes=("There is no history: git is not installed.",))
    return Report("empty", (), Plan("local"), nothing, "2026-01-31 12:00:00")
