from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.render.style import Style, safe, shorten


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("plain – text é 漢", "plain – text é 漢"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("a\nb\tc\rd", "a b c d"),
        ("\x9b31mred", "31mred"),
        ("\u202etxt.exe", "txt.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("bell\x07, null\x00, delete\x7f", "bell, null, delete"),
        ("line\u2028separator", "lineseparator"),
        ("\x1b\x1b[31m[31m", "[31m"),
    ],
)
def test_what_could_do_harm_is_taken_out(text: str, harmless: str) -> None:
    assert safe(text) == harmless


@given(st.text(alphabet=st.sampled_from("ab\x1b[]31m;\x07\x9b\n\t\u202e\x7f\x00\\")))
def test_nothing_that_controls_a_terminal_is_left(text: str) -> None:
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", safe(text))


@given(st.text(), st.integers(2, 20))
def test_shortened_text_fits(text: str, width: int) -> None:
    short = shorten(text, width)
    assert len(short) <= width
    assert short == safe(text) or short.endswith("…")


def test_without_colour_nothing_is_painted() -> None:
    style = Style(colour=False)
    for paint in (style.good, style.busy, style.warn, style.bad, style.dim, style.strong):
        assert paint("text") == "text"


def test_colours_are_switched_off_again() -> None:
    assert Style(colour=True).bad("text") == "\x1b[31mtext\x1b[0m"
    assert Style(colour=True).bad("") == ""
