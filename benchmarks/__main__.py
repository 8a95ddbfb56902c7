"""Run every benchmark and write what was measured into docs/performance.md.

Every module of this package with a function ``measure`` is a benchmark, and runs in a process of
its own. At any scale but the full one, figures are printed and written nowhere.

    python -m benchmarks [--scale 1.0]
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.common import ROOT, benchmarks, environment, measured, show, table, title

PAGE = ROOT / "docs" / "performance.md"


def main() -> None:
    parser = argparse.ArgumentParser(description="Run every benchmark.")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    scale = parser.parse_args().scale
    texts = {"machine": environment()}
    print(texts["machine"])
    for name in benchmarks():
        print(f"\n{name}: {title(name)}")
        texts[name] = _measure(name, scale)
    if scale == 1.0:
        PAGE.write_text(filled(PAGE.read_text(), texts))
        print(f"\nwritten into {PAGE.relative_to(ROOT)}")


def _measure(name: str, scale: float) -> str:
    """Measure and print; return a table."""
    begun = time.perf_counter()
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        found = fresh.submit(measured, name, scale).result()
    show(found)
    print(f"({time.perf_counter() - begun:.0f} s)", flush=True)
    return table(found)


def filled(page: str, texts: dict[str, str]) -> str:
    """Return the page with texts in their places; raises ValueError where one has no place."""
    for name, text in texts.items():
        before, begin, after = page.partition(f"<!-- figures: {name} -->\n")
        _, end, rest = after.partition("<!-- end of figures -->")
        if not (begin and end):
            raise ValueError(f"{PAGE.name} has no place for the figures of {name}")
        page = f"{before}{begin}{text}\n{end}{rest}"
    return page


if __name__ == "__main__":
    main()
