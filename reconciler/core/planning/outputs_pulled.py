"""What a plan tells of outputs that were pulled before: which of them live data has left behind.

From counts and statuses alone, and from what comparing a record of a file with the live one showed.
Changes neither the actions of a plan nor its exit code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.core.model.observed import COMPLETE, FAILED, LiveStage, LiveTarget
from reconciler.core.model.outputs import Output
from reconciler.core.model.plan import SETTLED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.core.model.desired import Desired, DesiredTarget
    from reconciler.core.model.lock import Lock, LockedTarget
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.observed import Observed
    from reconciler.core.model.plan import Plan


class Finding(StrEnum):
    """What comparing the last record of a file with the live one showed.

    ``changed``: they differ, and the file is what was pulled. ``either``: they differ, and whether
    the file is what was pulled was not looked at. ``unknown``: the live one could not be read.
    """

    CHANGED = "changed"
    EITHER = "either"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Compared:
    """What is to be told of an output of which a record was compared; ``why`` it is unknown."""

    output: Output
    finding: Finding
    why: str = ""


def outdated(desired: Desired, observed: Observed, lock: Lock | None) -> Iterator[str]:
    """Say of every recorded output whose stage no longer stands as it was pulled that it does not.

    What changed behind an unchanged count is beyond this: nobody sees it without looking.
    """
    for id_ in sorted(desired.targets):
        locked = lock.targets.get(id_) if lock else None
        live = observed.target(id_.called(locked.live_name)) if locked else None
        if locked and isinstance(live, LiveTarget):
            yield from (f"{id_} {text}" for text in _outdated(locked, live))


def _outdated(locked: LockedTarget, live: LiveTarget) -> Iterator[str]:
    for stage, entry in sorted(locked.stages.items()):
        seen = live.stages.get(stage)
        if entry.output and isinstance(seen, LiveStage) and not _same(seen, entry.lines):
            yield f"{stage}: the output pulled had {entry.lines:,} lines; {_standing(seen)}"


def _same(seen: LiveStage, lines: int) -> bool:
    return seen.status == COMPLETE and seen.lines == lines


def _standing(seen: LiveStage) -> str:
    if seen.status == COMPLETE:
        return f"now there are {seen.lines or 0:,}. `reconciler pull` gets them"
    return "its job failed since" if seen.status == FAILED else f"its job is now {seen.status}"


def comparable(
    desired: Desired, observed: Observed, lock: Lock | None, plan: Plan
) -> tuple[Output, ...]:
    """Return the wanted outputs that were pulled and, as far as counts tell, are so still.

    What a plan makes anew, blocks as a whole or could not read is left out, as is what was pulled
    under another live name: that says already that the data is not what was pulled.
    """
    pulled = [id_ for id_, entry in (lock.targets if lock else {}).items() if _is_pulled(entry)]
    if not lock or not pulled:
        return ()
    doubtful = _doubtful(plan)
    return tuple(
        output
        for id_ in sorted(pulled)
        if id_ in desired.targets and id_ not in desired.drawn_in and id_ not in doubtful
        if plan.live_names.get(id_) == lock.targets[id_].live_name
        for output in _comparable(desired.targets[id_], lock.targets[id_], observed)
    )


def _is_pulled(locked: LockedTarget) -> bool:
    return any(entry.output for entry in locked.stages.values())


def _doubtful(plan: Plan) -> frozenset[ResourceId]:
    """Return what is not, or may not be, live as it is declared."""
    moved = {a.resource for a in plan.actions if a.stage is None and a.verb not in SETTLED}
    return frozenset(moved | {unknown.resource for unknown in plan.unknown})


def _comparable(
    target: DesiredTarget, locked: LockedTarget, observed: Observed
) -> Iterator[Output]:
    live = observed.target(target.id.called(locked.live_name))
    if not isinstance(live, LiveTarget):
        return
    for stage, entry in sorted(locked.stages.items()):
        seen = live.stages.get(stage)
        is_same = isinstance(seen, LiveStage) and _same(seen, entry.lines)
        if entry.output and entry.lines and is_same and target.stage(stage).wanted:
            yield Output(target.id, stage, locked.live_name, entry.lines, entry.output)


def differing(compared: Iterable[Compared]) -> Iterator[str]:
    """Say of every output whose data changed behind the same count that it did, or may have.

    Those that could not be compared share a line: what keeps one from it often keeps all.
    """
    unknown: list[Compared] = []
    for each in compared:
        if each.finding is Finding.UNKNOWN:
            unknown.append(each)
        else:
            yield _difference(each)
    if unknown:
        yield _not_compared(unknown)


def _difference(found: Compared) -> str:
    output = found.output
    record = f"record {output.lines:,} of {output.lines:,}"
    if found.finding is Finding.CHANGED:
        return (
            f"{_name(output)}: the data changed since it was pulled: {record} is another one. "
            "`reconciler pull` gets it; `reconciler pull --check` compares every record"
        )
    return (
        f"{_name(output)}: {record} is not the one in the file that was pulled: "
        "the data changed since, or the file did. `reconciler pull --check` tells"
    )


def _not_compared(unknown: Sequence[Compared]) -> str:
    first = unknown[0]
    if len(unknown) == 1:
        name = _name(first.output)
        return f"{name}: could not be compared with what was pulled: {first.why}"
    return (
        f"{len(unknown):,} outputs could not be compared with what was pulled. "
        f"{_name(first.output)}: {first.why}"
    )


def _name(output: Output) -> str:
    return f"{output.resource} {output.stage}"
