"""Questions in words: how a model is asked for them, and how its answer is read."""

from __future__ import annotations

import time
from itertools import chain, cycle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.service.work.endpoint.questions import listed, wording
from reconciler.service.work.model import Prompt, QuestionsRequest

from .support import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TWO = ["What is a lockfile?", "Name one use."]

# Every answer holds the same two questions, however it is written.
LISTS = {
    "dots": "1. What is a lockfile?\n2. Name one use.",
    "parentheses": "1) What is a lockfile?\n2) Name one use.",
    "enclosed": "(1) What is a lockfile?\n(2) Name one use.",
    "colons": "1: What is a lockfile?\n2: Name one use.",
    "no space": "1.What is a lockfile?\n2.Name one use.",
    "tabs": "\t1.\tWhat is a lockfile?\n\t2.\tName one use.",
    "aligned": " 9. What is a lockfile?\n10. Name one use.",
    "three digits": "99. What is a lockfile?\n100. Name one use.",
    "all the same number": "1. What is a lockfile?\n1. Name one use.",
    "dashes": "- What is a lockfile?\n- Name one use.",
    "asterisks": "*   What is a lockfile?\n*   Name one use.",
    "pluses": "+ What is a lockfile?\n+ Name one use.",
    "dots as bullets": "• What is a lockfile?\n• Name one use.",
    "dashes of print": "– What is a lockfile?\n– Name one use.",
    "discs": "● What is a lockfile?\n● Name one use.",
    "circles": "◦ What is a lockfile?\n◦ Name one use.",
    "triangles": "‣ What is a lockfile?\n‣ Name one use.",
    "squares": "▪ What is a lockfile?\n▪ Name one use.",
    "middle dots": "· What is a lockfile?\n· Name one use.",
    "long dashes": "— What is a lockfile?\n— Name one use.",
    "Q1": "Q1: What is a lockfile?\nQ2: Name one use.",
    "Q 1": "Q 1. What is a lockfile?\n\nQ 2. Name one use.",
    "Question 1": "Question 1: What is a lockfile?\nQUESTION 2: Name one use.",
    "bold numbers": "**1.** What is a lockfile?\n**2.** Name one use.",
    "bold numbers, dots outside": "**1**. What is a lockfile?\n**2**. Name one use.",
    "bold labels": "**Question 1:** What is a lockfile?\n**Q2:** Name one use.",
    "bold items": "1. **What is a lockfile?**\n2. **Name one use.**",
    "bold lines": "**1. What is a lockfile?**\n**2. Name one use.**",
    "underlined": "1. __What is a lockfile?__\n__2. Name one use.__",
    "quoted": '1. "What is a lockfile?"\n2. "Name one use."',
    "curly quotes": "1. “What is a lockfile?”\n2. “Name one use.”",
    "other quotes": "1. «What is a lockfile?»\n2. „Name one use.“",
    "bold and quoted": '1. **"What is a lockfile?"**\n2. **"Name one use."**',
    "carriage returns": "1. What is a lockfile?\r\n2. Name one use.\r\n",
    "spaces at the ends": "1. What is a lockfile?  \n2. Name one use. \t",
    "byte order mark": "\ufeff1. What is a lockfile?\n2. Name one use.",
    "blank lines": "\n\n1. What is a lockfile?\n\n\n2. Name one use.\n\n",
    "intro": "Sure! Here are 2 questions:\n\n1. What is a lockfile?\n2. Name one use.",
    "close intro": "Here are 2:\n1. What is a lockfile?\n2. Name one use.",
    "intro that asks": "Why not these?\n1. What is a lockfile?\n2. Name one use.",
    "outro": "1. What is a lockfile?\n2. Name one use.\n\nShall I go on?",
    "headings": "# Easy\n\n1. What is a lockfile?\n## Hard\n2. Name one use.\n",
    "bold headings": "**Easy**\n\n1. What is a lockfile?\n\n**Hard**\n\n2. Name one use.",
    "starting anew": "### A\n1. What is a lockfile?\n\n### B\n1. Name one use.",
    "rules": "1. What is a lockfile?\n\n---\n\n2. Name one use.\n\n---",
    "close rules": "---\n1. What is a lockfile?\n---\n2. Name one use.\n---",
    "fenced": "```\n1. What is a lockfile?\n2. Name one use.\n```",
    "fenced Markdown": "\n```markdown\n- What is a lockfile?\n- Name one use.\n```\n",
    "fenced with an intro": "Here:\n\n```\n1. What is a lockfile?\n2. Name one use.\n```",
    "fenced and more": "Here:\n```text\n1. What is a lockfile?\n2. Name one use.\n```\nDone!",
    "thoughts": "<think>\n1. Hm?\n</think>\n\n1. What is a lockfile?\n2. Name one use.",
    "thoughts, half": "Hm.\n- plan\n</think>\n1. What is a lockfile?\n2. Name one use.",
    "too many digits": "1. What is a lockfile?\n2. Name one use.\n\n12345. nonsense",
}


@pytest.mark.parametrize("answer", LISTS.values(), ids=LISTS.keys())
def test_a_list_however_it_is_written(answer: str) -> None:
    assert listed(answer) == TWO


@pytest.mark.parametrize(
    ("answer", "items"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(" \n\n", [], id="blank lines"),
        pytest.param("I cannot help with that.", [], id="a refusal"),
        pytest.param("<think>1. What is it?", [], id="thoughts that never end"),
        pytest.param("| # | Q |\n|---|---|\n| 1 | Name a use. |", [], id="a table"),
        pytest.param("1. \n2. b?\n3.", ["b?"], id="empty items"),
        pytest.param("What is a lockfile?", ["What is a lockfile?"], id="one without a mark"),
        pytest.param("Here:\n\na?\n*b?*\nc.", ["a?", "*b?*"], id="lines that ask"),
        pytest.param("什么？\n为什么？", ["什么？", "为什么？"], id="Chinese lines that ask"),
        pytest.param("ما هو؟\nلماذا؟", ["ما هو؟", "لماذا؟"], id="Arabic lines that ask"),
        pytest.param("1、什么？\n2、说明。", ["什么？", "说明。"], id="Chinese numbers"),
        pytest.param("1．何？\n2．説明。", ["何？", "説明。"], id="full-width dots"),
        pytest.param("١. ما هو؟\n٢. اشرح.", ["ما هو؟", "اشرح."], id="Arabic digits"),
        pytest.param("1. Чому?\n2. Поясни.", ["Чому?", "Поясни."], id="Ukrainian"),
        pytest.param("1. ¿Qué?\n2. Di «no».", ["¿Qué?", "Di «no»."], id="Spanish"),
        pytest.param("1. a\nb\n2. c", ["a\nb", "c"], id="two lines"),
        pytest.param("1. a\n\n   b\n\n2. c", ["a\nb", "c"], id="two paragraphs"),
        pytest.param("1. a\n   - x\n   - y\n2. c", ["a\n- x\n- y", "c"], id="bullets inside"),
        pytest.param("1. a\n- x\n- y\n2. c", ["a\n- x\n- y", "c"], id="bullets not indented"),
        pytest.param("- a\n  1. x\n  2. y\n- c", ["a\n1. x\n2. y", "c"], id="numbers inside"),
        pytest.param("- a\n  - x\n- c", ["a\n- x", "c"], id="bullets in bullets"),
        pytest.param("1. a\n   1. x\n2. c", ["a\n1. x", "c"], id="numbers in numbers"),
        pytest.param(
            "1. **Anna, a nurse**: Why?\n2. **Bob**: How?",
            ["**Anna, a nurse**: Why?", "**Bob**: How?"],
            id="people",
        ),
        pytest.param("1. 2019: what?\n2. 2020.", ["2019: what?", "2020."], id="years in items"),
        pytest.param("- 2019: what?\n- 1.5?", ["2019: what?", "1.5?"], id="years in bullets"),
        pytest.param(
            "2019: what happened?\n2020: what then?",
            ["2019: what happened?", "2020: what then?"],
            id="years without marks",
        ),
        pytest.param("1. 1.5 or 2?\n2. 3:30?", ["1.5 or 2?", "3:30?"], id="numbers in items"),
        pytest.param("At 1.5?\n3:30 or 4?", ["At 1.5?", "3:30 or 4?"], id="numbers, no marks"),
        pytest.param('1. "A" or "B"', ['"A" or "B"'], id="two quotations"),
        pytest.param("1. What does 'x' mean?", ["What does 'x' mean?"], id="a quotation inside"),
        pytest.param("1. **A** or **B**", ["**A** or **B**"], id="two bold words"),
        pytest.param("1. What is `__init__`?", ["What is `__init__`?"], id="code"),
        pytest.param("- -1 or 1?", ["-1 or 1?"], id="a minus"),
        pytest.param(
            "1. What is wrong?\n   ```python\n   def f():\n       return 1\n   ```\n2. c",
            ["What is wrong?\n```python\ndef f():\n    return 1\n```", "c"],
            id="code inside",
        ),
        pytest.param(
            "1. What is wrong?\n```python\n# wrong\ndef f():\n    return 1\n```\n2. c",
            ["What is wrong?\n```python\n# wrong\ndef f():\n    return 1\n```", "c"],
            id="code not indented",
        ),
        pytest.param(
            "1. What is wrong?\n\n   ```yaml\n   - a\n\n   1. b\n   ```\n\n2. c",
            ["What is wrong?\n```yaml\n- a\n\n1. b\n```", "c"],
            id="code with marks and blank lines",
        ),
    ],
)
def test_the_items_of_an_answer(answer: str, items: list[str]) -> None:
    assert listed(answer) == items


def numbers(form: str) -> Callable[[Sequence[str]], str]:
    return lambda items: "\n".join(form.format(n, item) for n, item in enumerate(items, start=1))


STYLES = {
    **{form: numbers(form) for form in ("{}. {}", "{}) {}", "({}) {}", "{}: {}", "Q{}: {}")},
    **{form: numbers(form) for form in ("**{}. {}**", "{}. **{}**", '{}. "{}"', "{}.\t“{}”")},
    **{mark: numbers(f"{mark} {{1}}") for mark in "-*+•–"},
    "far apart": numbers("\n  {}. {}\n"),
    "headed": lambda items: "\n".join(f"## Part\n\n- {item}" for item in items),
    "fenced": lambda items: f"```text\n{numbers('{}. {}')(items)}\n```\n",
    "surrounded": lambda items: f"Sure, here:\n\n{numbers('{}. {}')(items)}\n\nMore?",
    "thought over": lambda items: f"<think>\n1. Well?\n</think>\n{numbers('- {1}')(items)}",
}
letters = st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="*_\"“”«»„'`#")
plain = st.text(letters, min_size=1).map(str.strip).filter(bool)


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES.keys())
@given(questions=st.lists(plain, min_size=1, max_size=6))
def test_plain_questions_come_back_unchanged(
    style: Callable[[Sequence[str]], str], questions: list[str]
) -> None:
    assert listed(style(questions)) == questions


MARKS = (
    *("1. ", "2)", "- ", "* ", "**", "__", "```", "\n", "\n\n", "   ", "#", "<think>", "</think>"),
    *("?", "“", '"', "Q1:", "2019", "\t", "|", "\u200f", "\ud800", "\0", "\r", "\u2028", "x"),
)


@given(pieces=st.lists(st.sampled_from(MARKS) | st.text(max_size=5), max_size=40))
def test_any_answer_can_be_read(pieces: list[str]) -> None:
    items = listed("".join(pieces))
    assert all(item and item == item.strip() for item in items)


PIECES = (
    *(
        " ",
        "\t",
        "\n",
        "\n\n",
        "\u3000",
        "1",
        "1 ",
        "(1 ",
        "(",
        "Q",
        "Question ",
        "a",
        "?\n",
        "#\n",
    ),
    *(
        "1. ",
        "1. a\n",
        "1. \n\n",
        "1.\n   - x\n",
        "- ",
        "-",
        "- **a** ",
        "*",
        "**",
        "__",
        "_ ",
        '"',
    ),
    *("```", "```\n", "\n```", "\n``` ", "<think>", "</think>", "<think></think>", "“”"),
)


@pytest.mark.parametrize("beginning", ["", "1. ", "```\n", "<think>", "1. a\n```\n"])
def test_a_long_answer_is_read_in_no_time(beginning: str) -> None:
    """What takes quadratic time takes far longer."""
    for piece in PIECES:
        text = beginning + piece * (20_000 // len(piece))
        before = time.perf_counter()
        listed(text)
        assert time.perf_counter() - before < 5, piece


def asked(**more: object) -> str:
    prompt = Prompt(text="You pack $boxes & ${crates}.")
    given: dict[str, object] = {"kind": "oneshot_qs", "model": "m", "prompt": prompt, "wanted": 7}
    return wording(QuestionsRequest(**{**given, **more}))  # type: ignore[arg-type]  # a test's table


@pytest.mark.parametrize("kind", ["oneshot_qs", "persona"])
def test_a_model_is_told_how_many_and_for_what(kind: str) -> None:
    text = asked(kind=kind)
    assert "7" in text
    assert "You pack $boxes & ${crates}." in text
    assert "${numq}" not in text
    assert "exist already" not in text


def test_the_ready_made_requests_differ() -> None:
    assert asked(kind="persona") != asked(kind="oneshot_qs")


@pytest.mark.parametrize("kind", ["oneshot_qs", "persona", "custom"])
def test_a_template_has_the_word(kind: str) -> None:
    expected = "Write 7 questions about You pack $boxes & ${crates}.."
    assert asked(kind=kind, template=TEMPLATE) == expected


def test_a_template_may_hold_dollar_signs_and_other_names() -> None:
    template = "$numq for $$5 and ${more}: $prompt_u"
    assert asked(template=template) == "7 for $5 and ${more}: You pack $boxes & ${crates}."


def test_one_answer_is_asked_for_a_hundred_at_most() -> None:
    assert asked(template=TEMPLATE, wanted=250).startswith("Write 100 questions")


def test_what_is_there_already_is_excluded() -> None:
    text = asked(template=TEMPLATE, known={"a": "A?", "b": "B $numq?"})
    assert text.endswith("\n- A?\n- B $numq?\n")


def test_of_very_many_the_latest_are_excluded() -> None:
    known = {str(number): f"Question {number:05}?" for number in range(100_000)}
    text = asked(template=TEMPLATE, known=known)
    assert "Question 99999?" in text
    assert "Question 00000?" not in text
    assert text.index("Question 99998?") < text.index("Question 99999?")
    assert len(text) < 30_000


def test_what_is_asked_for_is_what_is_read() -> None:
    items = list(chain.from_iterable(zip(("Why so?", "Say it."), cycle(["How?"]), strict=False)))
    assert listed(numbers("{}. {}")(items)) == ["Why so?", "How?", "Say it.", "How?"]
