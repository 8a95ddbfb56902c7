"""Drawings of numbers as inline SVG: bars, and line counts over time. Values in, markup out.

Colours and fonts are the page's. Everything a drawing shows stands in text beside it as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.render.report.markup import Markup, joined, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 28
_STEPS = (2, 4, 6, 8, 10)


def bar(share: float, mark: float | None = None) -> Markup:
    """Return a bar that is filled to a share of 1, perhaps with a mark at another one."""
    full = tag("rect", width=_percent(share), height=8, class_="fill")
    line = "" if mark is None else tag("rect", x=_percent(mark), width=1, height=8, class_="mark")
    return tag(
        "svg", full, line, class_="bar", viewBox="0 0 100 8", preserveAspectRatio="none",
        aria_hidden="true",
    )  # fmt: skip


def steps(points: Sequence[tuple[int, int]], names: Sequence[str], label: str) -> Markup:
    """Return counts over time, each of which holds until the next: points of (moment, count).

    ``names`` tells each moment in words; ``label`` is what the drawing is called.
    """
    top = ceiling(max(count for _, count in points))
    places = [(x, _y(count, top)) for x, (_, count) in zip(_spread(points), points, strict=True)]
    dots = [
        tag("circle", tag("title", f"{name}: {count:,}"), cx=_short(x), cy=_short(y), r=2.5)
        for (x, y), (_, count), name in zip(places, points, names, strict=True)
    ]
    return tag(
        "svg", _grid(top), _dates(names), _line(places), tag("g", *dots, class_="dots"),
        class_="chart", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label,
    )  # fmt: skip


def ceiling(most: int) -> int:
    """Return the round even number, at least 2, up to which an axis shows a count."""
    power = 1
    while most > 10 * power:
        power *= 10
    return next(step * power for step in _STEPS if most <= step * power)


def _spread(points: Sequence[tuple[int, int]]) -> list[float]:
    """Return where moments lie from left to right; evenly where time does not tell them apart."""
    moments = [moment for moment, _ in points]
    if min(moments) == max(moments):
        moments = list(range(len(points)))
    first, span = min(moments), max(moments) - min(moments) or 1
    room = _WIDTH - _LEFT - _RIGHT
    return [_LEFT + room * (moment - first) / span for moment in moments]


def _y(count: int, top: int) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * count / top


def _grid(top: int) -> Markup:
    return joined(
        tag(
            "g",
            tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=_short(y), y2=_short(y)),
            tag("text", f"{count:,}", x=_LEFT - 8, y=_short(y + 4), text_anchor="end"),
            class_="grid",
        )
        for count, y in ((count, _y(count, top)) for count in (0, top // 2, top))
    )


def _dates(names: Sequence[str]) -> Markup:
    ends = [(names[0], _LEFT, "start"), (names[-1], _WIDTH - _RIGHT, "end")]
    return joined(
        tag("text", name, x=x, y=_HEIGHT - 6, text_anchor=anchor)
        for name, x, anchor in (ends if len(names) > 1 else ends[:1])
    )


def _line(places: Sequence[tuple[float, float]]) -> Markup:
    (x, y), *rest = places
    drawn = f"M{_short(x)} {_short(y)}" + "".join(f"H{_short(x)}V{_short(y)}" for x, y in rest)
    floor = _short(_HEIGHT - _BOTTOM)
    area = f"{drawn}V{floor}H{_short(x)}Z"
    return joined((tag("path", d=area, class_="area"), tag("path", d=drawn, class_="line")))


def _percent(share: float) -> str:
    return _short(100 * min(1.0, max(0.0, share)))


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
