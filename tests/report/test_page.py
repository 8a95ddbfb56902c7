"""The page as a parser sees it: well-formed, self-contained, calm before hostile words."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model.desired import Stage
from reconciler.core.model.plan import Action, Plan, Reason, Verb
from reconciler.render.report.assets import STYLE
from reconciler.render.report.charts import ceiling
from reconciler.render.report.page import page

from . import support

if TYPE_CHECKING:
    from reconciler.render.report.content import Report

VOID = {"meta", "link", "input"}
REPORTS = {
    "troubled": support.troubled(),
    "converged": support.converged(),
    "empty": support.empty(),
}


class Page(HTMLParser):
    """Reads a page, and refuses one in which elements are not closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.words.setdefault(tag, []).append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    def text(self, tag: str) -> str:
        return " ".join(" ".join(self.words.get(tag, [])).split())


@pytest.fixture(params=REPORTS)
def read(request: pytest.FixtureRequest) -> Page:
    return Page(page(REPORTS[request.param]))


def test_names_are_given_once_and_links_lead_to_them(read: Page) -> None:
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] or "" for attributes in read.all("a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_nothing_is_loaded_and_nothing_acts_but_what_the_page_admits_by_digest(read: Page) -> None:
    for tag, attributes in read.elements:
        assert not {"src", "srcset", "style", "action", "formaction"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
        assert tag not in {"iframe", "img", "object", "embed", "base", "image", "use"}
        assert tag in {"a", "link"} or "href" not in attributes
    assert read.all("link") == [{"rel": "icon", "href": "data:,"}]
    policy = next(a["content"] for a in read.all("meta") if "http-equiv" in a)
    digests = {kind: digest("".join(read.words[kind])) for kind in ("style", "script")}
    assert policy == (
        f"default-src 'none'; style-src {digests['style']}; script-src {digests['script']}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def test_the_page_has_landmarks_and_headings_without_gaps(read: Page) -> None:
    for landmark in ("header", "main", "nav", "h1"):
        assert len(read.all(landmark)) == 1
    assert ("html", {"lang": "en"}) in read.elements
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later - sooner <= 1 for sooner, later in pairwise(levels))


def test_tables_have_captions_and_headings_with_a_scope(read: Page) -> None:
    assert len(read.all("caption")) == len(read.all("table"))
    assert all(heading["scope"] in {"col", "row"} for heading in read.all("th"))


def test_drawings_are_named_or_hidden_from_those_who_only_hear(read: Page) -> None:
    for drawing in read.all("svg"):
        named = drawing.get("role") == "img" and drawing.get("aria-label")
        assert named or drawing.get("aria-hidden") == "true"


def test_only_the_line_with_the_time_differs_between_reports_of_the_same_state() -> None:
    one = support.troubled()
    other = replace(one, made="2027-02-01 00:00:01")
    lines = zip(page(one).splitlines(), page(other).splitlines(), strict=True)
    differing = [pair for pair in lines if pair[0] != pair[1]]
    assert len(differing) == 1
    assert "<time" in differing[0][0]
    assert page(one) == page(support.troubled())


def test_a_thousand_targets_in_trouble_make_less_than_two_megabytes() -> None:
    assert len(page(support.troubled(1000)).encode()) < 2_000_000


def test_what_is_wrong_comes_first_with_the_reason_and_what_to_do() -> None:
    text = Page(page(support.troubled())).text("main")
    order = [
        "Not converged",
        "unreadable live state could not be read 502 Bad Gateway",
        "blocked failed, and policy.retries allows no further attempt",
        "To do: Mend the cause, then raise policy.retries.",
        "note no manifest declares it any more",
        "coding/target-0000",
        "failed 12 / 100",
        "coding/target-0033",
        "coding/target-0001",
        "running 312 / 500 (at least 400)",
        "coding/target-0031",
        "coding/target-0004",
    ]
    places = [text.index(words) for words in order[:5]]
    assert places == sorted(places)
    table = text[text.index("what needs a look first") :]
    assert [table.index(words) for words in order[5:]] == sorted(
        table.index(words) for words in order[5:]
    )


def test_the_same_trouble_of_many_is_told_once() -> None:
    text = Page(page(support.troubled(1000))).text("main")
    assert text.count("policy.retries allows no further attempt") == 1
    assert "100 resources: coding/target-0000 stim" in text
    assert "and 80 more" in text


def test_an_accepted_shortfall_is_noted_with_its_stage() -> None:
    short = Action(
        Verb.UNCHANGED, support.target(1), Reason.SHORTFALL_ACCEPTED, Stage.ROLLOUT, lines=7
    )
    report = replace(support.empty(), plan=Plan("local", accepted_shortfalls=(short,)))
    text = Page(page(report)).text("main")
    assert "note complete with fewer lines than wanted, accepted by policy" in text
    assert "1 resource: target coding/target-0001 rollout" in text


def test_what_does_not_fit_is_counted() -> None:
    actions = tuple(
        Action(Verb.CREATE, support.target(number), Reason.MISSING) for number in range(1234)
    )
    report = replace(support.empty(), plan=Plan("local", actions))
    assert "… and 1,034 more" in Page(page(report)).text("main")


def test_a_lockfile_is_not_called_live() -> None:
    report = support.converged()
    told = Page(page(replace(report, plan=replace(report.plan, offline=True)))).text("body")
    assert "from the lockfile" in told
    assert "as far as the lockfile knows" in told
    assert "live state satisfies" not in told


def test_a_project_without_targets_or_history_says_so() -> None:
    told = Page(page(support.empty())).text("main")
    assert "No target is declared." in told
    assert "There is no history: git is not installed." in told


def test_every_version_of_the_lockfile_is_in_a_table_and_in_the_drawings() -> None:
    read = Page(page(support.troubled()))
    moments = support.history(30).moments
    assert len(read.all("circle")) == 2 * len(moments)
    told = read.text("details")
    for moment in moments:
        row = f"{moment.date} {moment.commit} {moment.targets}"
        assert row in told


@given(st.integers(0, 10**15))
def test_an_axis_ends_at_a_round_number_that_is_not_far(most: int) -> None:
    top = ceiling(most)
    assert top >= most
    assert top <= max(2, 2 * most)
    assert top % 2 == 0
    assert len(str(top).rstrip("0")) <= 1


EVIL = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='x", "</title>",
    "</style>", "<!--", "]]>", "&lt;", "&#60;b>", "\x1b[2J", "\u202e", "\x00", "\ud800",
    "javascript:alert(1)", "<svg/onload=alert(1)>", "</table>", "\n<b>",
]  # fmt: skip


@given(st.lists(st.sampled_from(EVIL), min_size=1, max_size=4).map("a".join))
def test_words_of_others_are_shown_and_change_nothing(word: str) -> None:
    text = page(everywhere(f"a{word}"))
    honest, evil = Page(page(everywhere("a"))), Page(text)
    assert [tag for tag, _ in evil.elements] == [tag for tag, _ in honest.elements]
    names = [sorted(attributes) for _, attributes in evil.elements]
    assert names == [sorted(attributes) for _, attributes in honest.elements]
    page(everywhere(word)).encode()
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e]", page(everywhere(word))
    )


def everywhere(word: str) -> Report:
    """Return a report in which a word stands wherever foreign words may."""
    honest = support.troubled(10)

    def named(value: Any) -> Any:
        return replace(value, resource=value.resource._replace(name=word, repo=word))

    rows = tuple(
        replace(
            row,
            live_name=word + "x",
            stages={
                stage: replace(seen, status=word + "x", error=word)
                for stage, seen in row.stages.items()
            },
        )
        for row in (named(honest.rows[0]), *honest.rows[1:])
    )
    actions = tuple(
        replace(
            named(action) if number == 0 else action,
            message=word,
            diff=tuple(replace(one, path=word, old=word, new={word: word}) for one in action.diff),
        )
        for number, action in enumerate(honest.plan.actions)
    )
    unknown = tuple(replace(named(each), why=word) for each in honest.plan.unknown)
    orphans = (support.target(1).called(word),)
    plan = replace(honest.plan, api_url=word, actions=actions, unknown=unknown, orphans=orphans)
    history = replace(honest.history, notes=(word.replace("`", ""),))
    return replace(honest, project=word, rows=rows, plan=plan, history=history)


COLOURS = re.compile(r"--(\w+): #([0-9a-f]{3,6})\b")
#: What is written on what.
WRITTEN = [
    (ink, paper) for ink in ("ink", "dim", "good", "busy", "bad") for paper in ("paper", "soft")
]


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_stands_out_from_its_ground(scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    assert len(blocks) == 3
    colours = dict(COLOURS.findall(blocks[["light", "dark", "print"].index(scheme)]))
    for ink, paper in WRITTEN:
        assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
    for drawn in ("fill", "good", "busy", "bad"):
        assert contrast(colours[drawn], colours["paper"]) >= 3


def contrast(one: str, other: str) -> float:
    """Return how far two colours are apart, as WCAG 2 counts it."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    whole = "".join(char * 2 for char in colour) if len(colour) == 3 else colour
    parts = [int(whole[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
