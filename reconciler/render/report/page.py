"""The page: what matters first, in sections that can be read from top to bottom or jumped to.

The same report gives the same bytes; the line with the time it was made is the only one that
differs between reports of the same state.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from reconciler.core.explain import reason_sentence
from reconciler.core.model.desired import Stage
from reconciler.core.model.plan import Verb
from reconciler.core.schema.wording import counted
from reconciler.render.plan import cost, counts, nothing_to_do, quantity
from reconciler.render.report import attention, targets
from reconciler.render.report.assets import SCRIPT, STYLE
from reconciler.render.report.charts import bar, steps
from reconciler.render.report.markup import Markup, joined, tag, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.core.model.history import History
    from reconciler.core.model.manifest import ResourceId
    from reconciler.core.model.plan import Action, Plan
    from reconciler.core.planning.report import StatusRow
    from reconciler.render.report.attention import Concerned, Trouble
    from reconciler.render.report.content import Report

#: The most of each that a page lists; it says how many more there are.
_MOST_TROUBLES, _MOST_NAMES, _MOST_ACTIONS = 200, 20, 200
_NOT_YET = frozenset({Verb.UNCHANGED, Verb.ADOPT, Verb.BLOCKED})
_SECTIONS = {
    "summary": "Summary",
    "attention": "What needs a person",
    "all-targets": "Targets",
    "next": "What apply would do",
    "history": "Lines over time",
}


def page(report: Report) -> str:
    """Return the whole page."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            tag("head", *_head(report)),
            "<body>",
            tag("a", "Skip to the content", href="#content", class_="skip"),
            _header(report),
            '<main id="content" tabindex="-1">',
            *_sections(report),
            "</main>",
            f"<script>{SCRIPT}</script>",
            "</body>",
            "</html>\n",
        ]
    )


def verdict(plan: Plan) -> str:
    """Return where things stand in one word or two."""
    if plan.converged:
        return "Converged, as far as the lockfile knows" if plan.offline else "Converged"
    return "Not converged"


def _head(report: Report) -> Iterator[Markup]:
    policy = (
        f"default-src 'none'; style-src {_digest(STYLE)}; script-src {_digest(SCRIPT)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    yield tag("meta", charset="utf-8")
    yield tag("meta", http_equiv="Content-Security-Policy", content=policy)
    yield tag("meta", name="referrer", content="no-referrer")
    yield tag("meta", name="viewport", content="width=device-width, initial-scale=1")
    yield tag("meta", name="color-scheme", content="light dark")
    yield tag("link", rel="icon", href="data:,")  # or browsers would ask for one
    yield tag("title", f"{report.project}: {verdict(report.plan)}")
    yield Markup(f"<style>{STYLE}</style>")


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _header(report: Report) -> Markup:
    links = joined(tag("li", tag("a", title, href=f"#{name}")) for name, title in _SECTIONS.items())
    source = "from the lockfile" if report.plan.offline else "live state"
    return tag(
        "header",
        tag("h1", report.project),
        tag("p", f"reconciler report, {source}, ", tag("code", report.plan.api_url)),
        "\n",
        tag("p", "Made ", tag("time", f"{report.made} UTC", datetime=_machine(report.made))),
        "\n",
        tag("nav", tag("ul", links), aria_label="Sections"),
    )


def _machine(made: str) -> str:
    return made.replace(" ", "T") + "Z"


def _sections(report: Report) -> Iterator[Markup]:
    rows = targets.ordered(report.rows)
    links = targets.anchors(rows)
    parts = (
        _summary(report),
        _attention(report.plan, links),
        _targets(rows, links),
        _next(report.plan, links),
        _history(report.history),
    )
    for (name, title), part in zip(_SECTIONS.items(), parts, strict=True):
        head = tag("h2", title, id=f"{name}-head")
        yield tag("section", head, "\n", part, id=name, aria_labelledby=f"{name}-head")


def _summary(report: Report) -> Markup:
    plan = report.plan
    stands = targets.SETTLED if plan.converged else targets.BUSY
    if plan.unknown or plan.blocked:
        stands = targets.PROBLEM
    sign = {targets.SETTLED: "✓", targets.BUSY: "▸", targets.PROBLEM: "✗"}[stands]
    head = tag("p", tag("i", sign, aria_hidden="true"), tag("strong", verdict(plan)))
    told = nothing_to_do(plan) if plan.converged else f"Plan: {counts(plan) or 'nothing'}."
    unread = len(plan.unknown)
    unreadable = tag("p", f"{counted(unread, 'resource')} could not be read.") if unread else ""
    box = tag("div", head, tag("p", told), unreadable, class_=f"verdict {stands}")
    return joined((box, _totals(report.rows)), "\n")


def _totals(rows: Sequence[StatusRow]) -> Markup:
    stood = [targets.standing(row) for row in rows]
    tiles = [_tile("Targets", f"{len(rows):,}")]
    tiles += [_tile(word.capitalize(), f"{stood.count(word):,}") for word in targets.STANDS]
    return tag("dl", *tiles, *(_stage_tile(rows, stage) for stage in Stage), class_="tiles")


def _tile(name: str, value: str, *more: Markup) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value, *more))


def _stage_tile(rows: Sequence[StatusRow], stage: Stage) -> Markup:
    seen = [row.stages[stage] for row in rows]
    wanted = sum(each.wanted or 0 for each in seen)
    lines = sum(each.lines or 0 for each in seen)
    met = sum(min(each.lines or 0, each.wanted or 0) for each in seen)
    share = bar(met / wanted) if wanted else Markup()
    name = f"{stage.capitalize()} lines"
    return _tile(name, f"{lines:,}", tag("small", f"at least {wanted:,} wanted"), share)


def _attention(plan: Plan, links: Mapping[ResourceId, str]) -> Markup:
    found = attention.troubles(plan)
    if not found:
        return tag("p", "Nothing: no target is blocked, failed or unreadable.")
    listed = [_trouble(each, links) for each in found[:_MOST_TROUBLES]]
    left = len(found) - len(listed)
    more = tag("p", f"… and {left:,} more; `reconciler plan` tells them.") if left else ""
    return joined((tag("ul", joined(listed, "\n"), class_="troubles"), more))


def _trouble(each: Concerned, links: Mapping[ResourceId, str]) -> Markup:
    trouble = each.trouble
    stands = targets.BUSY if trouble.word == attention.NOTE else targets.PROBLEM
    return tag(
        "li",
        tag("h3", tag("b", trouble.word, class_=stands), f" {trouble.why}"),
        tag("p", trouble.message, class_="message") if trouble.message else "",
        _diff(trouble),
        tag("p", tag("b", "To do: "), *_prose(trouble.todo)) if trouble.todo else "",
        tag("p", counted(len(each.whom), "resource"), ": ", _whom(each, links)),
    )


def _whom(each: Concerned, links: Mapping[ResourceId, str]) -> Markup:
    names = [
        joined((_link(resource, links), f" {stage}" if stage else ""))
        for resource, stage in each.whom[:_MOST_NAMES]
    ]
    left = len(each.whom) - len(names)
    return joined([*names, *([f"and {left:,} more"] if left else [])], ", ")


def _link(resource: ResourceId, links: Mapping[ResourceId, str]) -> Markup:
    if resource in links:
        return tag("a", str(resource), href=f"#{links[resource]}")
    return tag("span", f"{resource.kind.lower()} {resource}")


def _diff(trouble: Trouble) -> Markup:
    if not trouble.diff:
        return Markup()
    rows = joined(
        tag("tr", tag("th", path, scope="row"), tag("td", old), tag("td", new))
        for path, old, new in trouble.diff
    )
    return _table("What differs", "What differs", ("Field", "Live", "Declared"), rows)


def _targets(rows: Sequence[StatusRow], links: Mapping[ResourceId, str]) -> Markup:
    if not rows:
        return tag("p", "No target is declared.")
    return joined((_tools(), _scrolling(targets.table(rows, links), "Targets")), "\n")


def _tools() -> Markup:
    choices = [tag("option", "all", value="")]
    choices += [tag("option", word, value=word) for word in targets.STANDS]
    return tag(
        "form",
        tag("label", "Name holds ", tag("input", type="search", autocomplete="off")),
        tag("label", "State ", tag("select", *choices)),
        tag("output"),
        id="tools",
        hidden=True,
    )


def _next(plan: Plan, links: Mapping[ResourceId, str]) -> Markup:
    planned = [action for action in plan.actions if action.verb not in _NOT_YET]
    if not planned:
        return tag("p", "Nothing.")
    rows = joined((_action(action, links) for action in planned[:_MOST_ACTIONS]), "\n")
    caption = f"{counted(len(planned), 'action')}, in the order of execution"
    table = _table("What apply would do", caption, ("Action", "Resource", "Why"), rows)
    left = len(planned) - _MOST_ACTIONS
    more = tag("p", f"… and {left:,} more; `reconciler plan` tells them.") if left > 0 else ""
    is_costly = plan.estimate.stim_lines or plan.estimate.trajectories
    price = tag("p", cost(plan.estimate)) if is_costly else ""
    return joined((price, table, more), "\n")


def _action(action: Action, links: Mapping[ResourceId, str]) -> Markup:
    what = str(action.stage or "")
    why = reason_sentence(action) + (f" ({quantity(action)})" if action.stage else "")
    name = joined((_link(action.resource, links), f" {what}" if what else ""))
    look = targets.PROBLEM if action.destructive else None
    verb = f"{action.verb}, destroys data" if action.destructive else str(action.verb)
    return tag("tr", tag("td", verb, class_=look), tag("th", name, scope="row"), tag("td", why))


def _history(history: History) -> Markup:
    notes = [tag("p", *_prose(note)) for note in history.notes]
    if not history.moments:
        return joined(notes)
    if len(history.moments) == 1:
        told = tag("p", "One version of the lockfile was committed; a line takes two.")
        return joined((told, *notes, _versions(history)), "\n")
    names = [moment.date for moment in history.moments]
    figures = [_figure(history, stage, names) for stage in Stage]
    told = tag("p", "From the committed versions of the lockfile; every dot is one.")
    return joined((told, *notes, tag("div", *figures, class_="charts"), _versions(history)), "\n")


def _figure(history: History, stage: Stage, names: Sequence[str]) -> Markup:
    points = [(moment.when, moment.lines[stage]) for moment in history.moments]
    first, last = points[0][1], points[-1][1]
    label = (
        f"{stage.capitalize()} lines over time: {first:,} on {names[0]}, {last:,} on {names[-1]}. "
        "The table of versions has every number."
    )
    caption = tag("figcaption", f"{stage.capitalize()} lines: {last:,}")
    return tag("figure", caption, steps(points, names, label))


def _versions(history: History) -> Markup:
    words = ("Date (UTC)", "Commit", "Targets", *(f"{stage.capitalize()} lines" for stage in Stage))
    rows = joined(
        (
            tag(
                "tr",
                tag("th", moment.date, scope="row"),
                tag("td", tag("code", moment.commit)),
                tag("td", f"{moment.targets:,}"),
                *(tag("td", f"{moment.lines[stage]:,}") for stage in Stage),
            )
            for moment in reversed(history.moments)
        ),
        "\n",
    )
    table = _table("Versions", "Versions of the lockfile, the newest first", words, rows)
    return tag("details", tag("summary", "All versions"), table)


def _prose(sentence: str) -> Iterator[Markup]:
    """Yield a sentence of our own, in which backticks mean code."""
    for number, part in enumerate(sentence.split("`")):
        yield tag("code", part) if number % 2 else text(part)


def _table(name: str, caption: str, words: Sequence[str], rows: Markup) -> Markup:
    heads = joined(tag("th", word, scope="col") for word in words)
    parts = (tag("caption", caption), tag("thead", tag("tr", heads)), tag("tbody", rows))
    return _scrolling(tag("table", *parts), name)


def _scrolling(table: Markup, label: str) -> Markup:
    """Let a wide table scroll by itself, with the keyboard too."""
    return tag("div", table, class_="wide", role="group", aria_label=label, tabindex=0)
