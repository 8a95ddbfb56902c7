"""Laws of a plan as a comment: it fits, it is whole, and nothing foreign in it has any power."""

from __future__ import annotations

import re

import pytest
from builders import API_URL, target_id
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.core.model.desired import Stage
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.core.model.plan import Action, FieldDiff, Plan, Reason, Unknown, Verb
from reconciler.render import markdown

PIECES = (
    "`", "``", "|", "<img src=x onerror=alert(1)>", "</details>", "<details>", "<!--", "</code>",
    "@everyone", "#12", "owner/repo#12", "[a](http://evil.example)", "![a](http://evil.example)",
    "<http://evil.example>", "http://evil.example", "www.evil.example", "**", "__", "~~", "\\",
    "\n", "\r\n\r\n", "\x1b[2J", "\u202e", "&lt;", "&#60;", "- ", "1. ", "> ", "# ", "$x$", " ",
    "a",
)  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
values = st.one_of(hostile, st.none(), st.lists(hostile, max_size=2), st.integers())
diffs = st.builds(FieldDiff, hostile.map("extra_kwargs.".__add__), values, values)


def action(verb: Verb, name: str, message: str, diff: FieldDiff | None = None) -> Action:
    id_ = ResourceId(Kind.TARGET, "coding", name)
    return Action(verb, id_, Reason.CONFIG_CHANGED, diff=(diff,) if diff else (), message=message)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Return plans that speak of nothing but hostile words."""
    verbs = st.sampled_from([Verb.BLOCKED, Verb.CREATE, Verb.DELETE, Verb.REVISE, Verb.REPLACE])
    names = draw(st.lists(hostile, max_size=3, unique_by=str.strip))
    actions = [action(draw(verbs), name, draw(hostile), draw(diffs)) for name in names]
    unknown = [Unknown(target_id(draw(hostile)), draw(hostile))] if draw(st.booleans()) else []
    orphans = [target_id(draw(hostile))] if draw(st.booleans()) else []
    return Plan(API_URL, tuple(actions), tuple(unknown), tuple(orphans))


TAGS = re.compile(r"</?(?:details|summary|code)>")
ESCAPED = re.compile(r"\\[!-/:-@\[-`{-~]")


def outside_code(line: str) -> str:
    """Return a line without what CommonMark takes for code, escaped characters as they are."""
    kept, rest = [], line
    while rest:
        if ESCAPED.match(rest):
            kept.append(rest[:2])
            rest = rest[2:]
            continue
        fence = re.match(r"`+", rest)
        if fence:
            close = re.search(rf"(?<!`)`{{{len(fence[0])}}}(?!`)", rest[fence.end() :])
            assert close, f"code that does not end: {line!r}"
            rest = rest[fence.end() + close.end() :]
            continue
        kept.append(rest[0])
        rest = rest[1:]
    return "".join(kept)


def prose(text: str) -> list[str]:
    """Return the Markdown lines of a comment without their code; summaries are HTML."""
    lines = [line for line in text.splitlines() if not line.startswith(("<details>", "</details>"))]
    return [outside_code(line) for line in lines]


@given(plans())
@example(Plan(API_URL, (action(Verb.BLOCKED, "</summary></details>", "</details>\n\n<b>"),)))
def test_no_tag_but_our_own(plan: Plan) -> None:
    found = markdown.plan(plan)
    assert not [line for line in prose(found) if re.search(r"(?<!\\)[<>&]", line)]
    summaries = [line for line in found.splitlines() if line.startswith("<details>")]
    for line in summaries:
        assert TAGS.findall(line) == ["<details>", "<summary>", "<code>", "</code>", "</summary>"]
        assert "<" not in TAGS.sub("", line)
    ends = [line for line in found.splitlines() if line.startswith("</details>")]
    assert len(ends) == len(summaries)


@given(plans())
def test_no_link_image_emphasis_or_formula(plan: Plan) -> None:
    for line in prose(markdown.plan(plan)):
        text = re.sub(r"^(### Plan|\*\*.*\*\*|( *)- (\*\*[a-z ]+\*\*)?)", "", line)
        assert not re.search(r"(?<!\\)[\[\]*_~$|]", text)
        assert not re.search(r"https?://", text)


@given(plans())
@example(Plan(API_URL, (action(Verb.BLOCKED, "t", "ask @everyone"),)))
def test_nobody_is_mentioned_and_nothing_is_referred_to(plan: Plan) -> None:
    # Mentions and references are found in the rendered text: a backslash is gone by then.
    for line in prose(markdown.plan(plan)):
        rendered = ESCAPED.sub(lambda match: match[0][1], line)
        assert not re.search(r"@\w", rendered)
        assert not re.search(r"#\d", rendered)


@given(plans())
def test_no_control_character_and_no_line_of_others(plan: Plan) -> None:
    found = markdown.plan(plan)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", found)
    assert not [line for line in found.splitlines() if not OUR_LINES.fullmatch(line)]


OUR_LINES = re.compile(
    r"|### Plan|\*\*.*\*\*|Nothing to do.*|Live state .*|No longer declared: .*"
    r"| *- .*|</?details>.*"
)


@pytest.mark.parametrize("verb", [Verb.CREATE, Verb.BLOCKED])
@pytest.mark.parametrize("name", ["t", "`|<" * 40])
def test_thousands_of_changes_fit_into_a_comment(verb: Verb, name: str) -> None:
    several = [(verb, None), (Verb.RUN, Stage.STIM), (Verb.RUN, Stage.ROLLOUT)]
    actions = tuple(
        Action(one, target_id(f"{name}{number}"), Reason.NOT_STARTED, stage, wanted=1)
        for number in range(5000)
        for one, stage in several
    )
    found = markdown.plan(Plan(API_URL, actions))
    assert 40_000 < len(found) <= 60_000
    shown = found.count("<details>")
    assert shown == found.count("</details>")
    left = re.search(r"and ([\d,]+) more resources", found)
    assert left
    assert shown + int(left[1].replace(",", "")) == 5000


@given(plans(), st.integers(500, 3000))
def test_also_what_cannot_be_read_or_is_orphaned_leaves_it_short(plan: Plan, count: int) -> None:
    many = [target_id("long-name-of-a-target" * 6 + str(number)) for number in range(count)]
    unknown = tuple(Unknown(id_, "the API does not answer " * 200) for id_ in many)
    found = markdown.plan(Plan(API_URL, plan.actions, unknown, tuple(many)))
    assert len(found) <= 60_000


def test_what_is_urgent_is_shown_when_little_fits() -> None:
    many = [Action(Verb.CREATE, target_id(f"t{n}"), Reason.MISSING) for n in range(5000)]
    urgent = Action(Verb.DELETE, target_id("doomed"), Reason.ORPHAN, message="12 stim lines")
    found = markdown.plan(Plan(API_URL, (*many, urgent)))
    assert found.index("coding/doomed") < found.index("coding/t0")
