"""How long a lockfile of thousands of targets takes to read and to write, against plain JSON.

The yardstick is orjson, which loads and dumps the same data: the fastest there is, for a format
that nobody can merge. Both work in memory and take turns; a figure is the median of the rounds. No
two targets have the same numbers, so that nothing is gained by remembering them (at full size: few
targets are remembered from round to round). The file and its fsync are measured on their own.

    pip install orjson && python -m benchmarks.lockfile [--scale 1.0]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
import yaml

from reconciler import __version__, lockfile
from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedPrompt, LockedRepo, LockedStage, LockedTarget
from reconciler.core.model.manifest import Kind, ResourceId

if TYPE_CHECKING:
    from collections.abc import Callable

#: Name, value, unit, and what the value should not exceed (None where there is no such bound).
Row: TypeAlias = tuple[str, float, str, float | None]

TARGETS = 10_000
ROUNDS = 15
REACH = 15.0
_IN_A_REPO = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help=f"1.0 is {TARGETS:,} targets")
    options = parser.parse_args()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("orjson", "PyYAML"))
    print(f"reconciler {__version__}, Python {platform.python_version()}, {libraries}")
    print(f"{platform.machine()}, {os.cpu_count()} cores")
    for name, value, unit, reach in measure(options.scale):
        bound = "" if reach is None else f"   (reach: {reach:g})"
        print(f"{name:<58} {value:>9.3f} {unit}{bound}")


def measure(scale: float = 1.0) -> list[Row]:
    """Return the figures for ``scale`` times 10,000 targets."""
    count = max(1, round(TARGETS * scale))
    lock = _lock(count)
    content = lockfile.render(lock)
    json = orjson.dumps(_plain(content))
    orjson_took, reading, writing = _in_turns(
        lambda: orjson.dumps(orjson.loads(json)),
        partial(lockfile.parse, content, "x"),
        partial(lockfile.render, lock),
    )
    ratios = [(r + w) / o for o, r, w in zip(orjson_took, reading, writing, strict=True)]
    by_hand = (_timed(partial(lockfile.parse, content + "# edited by hand\n", "x")),)
    named = f"lockfile, {count:,} targets"
    return [
        (f"{named}, read + write / orjson", statistics.median(ratios), "x", REACH),
        (f"{named}, read", _milliseconds(reading), "ms", None),
        (f"{named}, write", _milliseconds(writing), "ms", None),
        ("orjson, loads + dumps", _milliseconds(orjson_took), "ms", None),
        (f"{named}, size", len(content) / 1e6, "MB", None),
        *_on_disk(lock, named),
        (f"{named}, read after an edit by hand", _milliseconds(by_hand), "ms", None),
    ]


def _in_turns(*actions: Callable[[], object]) -> list[tuple[float, ...]]:
    """Return for each action what its rounds took, in seconds."""
    rounds = [[_timed(action) for action in actions] for _ in range(1 + ROUNDS)]
    return list(zip(*rounds[1:], strict=True))


def _timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    result = action()
    took = time.perf_counter() - begun
    del result  # to free it is part of nobody's time
    return took


def _milliseconds(rounds: tuple[float, ...]) -> float:
    return 1000 * statistics.median(rounds)


def _on_disk(lock: Lock, named: str) -> list[Row]:
    """Measure whole reads, and writes after each of which one target has changed."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "reconciler.lock")
        store = lockfile.Store(path)
        store.write(lock)
        changes = [_with_a_change(lock, number) for number in range(ROUNDS)]
        written = tuple(_timed(partial(store.write, changed)) for changed in changes)
        read = tuple(_timed(lockfile.Store(path).read) for _ in range(ROUNDS))
    return [
        (f"{named}, read from disk", _milliseconds(read), "ms", None),
        (f"{named}, written to disk with one change", _milliseconds(written), "ms", None),
    ]


def _with_a_change(lock: Lock, number: int) -> Lock:
    id_ = list(lock.targets)[number % len(lock.targets)]
    changed = replace(lock.targets[id_], live_name=f"changed-{number}")
    return replace(lock, targets={**lock.targets, id_: changed})


def _plain(content: str) -> dict[str, Any]:
    return dict(yaml.load(content, Loader=yaml.CSafeLoader))


def _lock(count: int) -> Lock:
    repos = [f"repo-{number}" for number in range(1 + (count - 1) // _IN_A_REPO)]
    return Lock(
        "https://bapi.bread.com.ai",
        repos={ResourceId(Kind.REPO, repo): LockedRepo("Qwen/Qwen3-32B") for repo in repos},
        prompts={
            ResourceId(Kind.PROMPT, repo, "expert"): LockedPrompt(_digest(repo), "expert")
            for repo in repos
        },
        targets={
            ResourceId(Kind.TARGET, repos[n // _IN_A_REPO], f"target-{n}"): _target(n)
            for n in range(count)
        },
    )


def _target(number: int) -> LockedTarget:
    digest = _digest(str(number))
    stim, rollout = 50 + number, 5 * (50 + number)
    return LockedTarget(
        digest,
        f"target-{number}-{digest[7:15]}" if number % 2 else f"target-{number}",
        stages={
            Stage.STIM: LockedStage("complete", stim, stim),
            Stage.ROLLOUT: LockedStage("complete", rollout, rollout, output=digest),
        },
    )


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
