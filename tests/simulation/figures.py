"""What the simulation did, counted: collected over all tests and processes, and told at the end."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


class Figures:
    """Counters of one process; what is only known as a set is kept as names."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, float] = defaultdict(float)
        self.names: dict[str, set[str]] = {}

    def count(self, what: str, number: float = 1) -> None:
        self.counts[what] += number

    def name(self, what: str, name: str) -> None:
        self.names.setdefault(what, set()).add(name)

    def fault(self, kind: str) -> None:
        self.counts[f"fault: {kind}"] += 1

    def taken(self) -> dict[str, Any]:
        """Return everything so far as plain data, and begin anew."""
        data = {
            "counts": dict(self.counts),
            "names": {key: sorted(names) for key, names in self.names.items()},
        }
        self.counts, self.names = defaultdict(float), {}
        return data

    def add(self, data: dict[str, Any]) -> None:
        """Add what another process has counted."""
        for key, number in data["counts"].items():
            self.counts[key] += number
        for key, names in data["names"].items():
            self.names.setdefault(key, set()).update(names)

    def told(self) -> dict[str, str]:
        """Return the figures in words, in the order in which they are read."""
        counts, rest = self.counts, self._starting("seeds at rest after: ")
        seconds = counts["seconds"] or 1
        lines = {
            "seeds": f"{counts['seeds']:,.0f}",
            "runs of the reconciler": f"{counts['runs']:,.0f}",
            "of these, over the real client": f"{counts['runs over the wire']:,.0f} "
            f"({counts['requests over the wire']:,.0f} requests)",
            "rounds with two runs at once": f"{counts['rounds with two runs at once']:,.0f}",
            "jobs that the service really started": f"{counts['jobs started']:,.0f}",
            "prompts of others that a batch replaced": f"{counts['prompts replaced']:,.0f}",
            "runs until rest, once faults had stopped": self._spread(rest),
            "seeds per minute and processor": f"{60 * counts['seeds in storms'] / seconds:,.0f}",
            "runs per minute and processor": f"{60 * counts['runs in storms'] / seconds:,.0f}",
            "crash points covered / known": f"{counts['crash points covered']:,.0f} / "
            f"{counts['crash points known']:,.0f}",
            "kinds of crash points met in storms / known": f"{len(self._crashed_in_storms())} / "
            f"{len(self.names.get('known boundaries', ()))}",
            "mutants caught / mutants": f"{len(self.names.get('mutants caught', ()))} / "
            f"{len(self.names.get('mutants', ()))}",
        }
        lines["inputs fuzzed"] = f"{counts['inputs fuzzed']:,.0f}"
        faults = self._starting("fault: ")
        lines["faults injected"] = f"{sum(faults.values()):,.0f}"
        return lines | {f"– {kind}": f"{n:,.0f}" for kind, n in faults.items()}

    def _starting(self, beginning: str) -> dict[str, float]:
        found = {key: n for key, n in sorted(self.counts.items()) if key.startswith(beginning)}
        return {key.removeprefix(beginning): n for key, n in found.items()}

    def _crashed_in_storms(self) -> set[str]:
        return self.names.get("crashed at", set()) & self.names.get("known boundaries", set())

    @staticmethod
    def _spread(counts: dict[str, float]) -> str:
        most = max(counts, default="0")
        total = sum(counts.values()) or 1
        mean = sum(int(number) * n for number, n in counts.items()) / total
        return f"{mean:.1f} on average, {most} at most"


FIGURES = Figures()
