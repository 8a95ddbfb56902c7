"""Words of others on the page that ``report`` writes: text, in whatever way they came there."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from report.test_page import Page

from reconciler.core.errors import ExitCode

from .support import assert_calm, command
from .test_neutralised import CHANNELS, EVIL, MANIFESTS, MANY, NAMES, Evil, lockfile_of

if TYPE_CHECKING:
    from cli.project import Ended

#: All that the page consists of.
OURS = {
    "a", "b", "body", "caption", "circle", "code", "dd", "details", "div", "dl", "dt", "figcaption",
    "figure", "form", "g", "h1", "h2", "h3", "head", "header", "html", "i", "input", "label", "li",
    "line", "link", "main", "meta", "nav", "option", "output", "p", "path", "rect", "script",
    "section", "select", "small", "span", "strong", "style", "summary", "svg", "table", "tbody",
    "td", "text", "th", "thead", "time", "title", "tr", "ul",
}  # fmt: skip


def assert_powerless(ended: Ended) -> None:
    assert_calm(ended)
    read = Page(ended.out)
    assert {tag for tag, _ in read.elements} <= OURS
    assert len(read.all("script")) == len(read.all("style")) == 1
    for _, attributes in read.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert re.fullmatch("#[a-z0-9-]+|data:,|", attributes.get("href") or "")
        assert "src" not in attributes


@pytest.mark.parametrize("where", CHANNELS)
@settings(max_examples=max(5, MANY // 8))
@given(word=EVIL)
def test_words_of_the_api_are_text(surroundings: pytest.MonkeyPatch, where: str, word: str) -> None:
    with tempfile.TemporaryDirectory() as folder, Evil(where, word).answering(surroundings):
        Path(folder, "a.yaml").write_text(MANIFESTS)
        command("apply", "--timeout", "5s", folder)
        ended = command("report", folder)
        assert_calm(ended)
        if ended.out:  # a refused key ends everything
            assert_powerless(ended)


@settings(max_examples=MANY)
@given(NAMES)
def test_words_of_the_lockfile_are_text(word: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.yaml").write_text(MANIFESTS)
        Path(folder, "reconciler.lock").write_text(lockfile_of(word))
        ended = command("report", "--offline", folder)
        assert ended.code == ExitCode.OK
        assert_powerless(ended)


@settings(max_examples=MANY)
@given(EVIL.map(lambda word: re.sub("[/\0\ud800]", "", word) or "x"))
def test_the_name_of_a_directory_is_text(word: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, f"x{word}")
        place.mkdir()
        (place / "a.yaml").write_text(MANIFESTS)
        assert_powerless(command("report", "--offline", place))
