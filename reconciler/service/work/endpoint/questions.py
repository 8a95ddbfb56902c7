"""How questions are asked for in words, and read out of an answer in words. Pure."""

from __future__ import annotations

import re
from string import Template
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.service.work.model import QuestionsRequest

MOST_AT_ONCE = 100
"""How many questions one answer is asked to hold; more are asked for in several calls."""

_MOST_EXCLUDED = 20_000
_FORM = """\
Number them from 1 to ${numq}, one item each, and write nothing but this list.

Instructions:
${prompt_u}
"""
_TEMPLATES = {
    "oneshot_qs": f"""\
An assistant works under the instructions below. Write ${{numq}} questions or requests that people
could bring to it. They should differ in topic, difficulty, length and tone, need no further
context, and together cover everything that the instructions prepare the assistant for.
{_FORM}""",
    "persona": f"""\
An assistant works under the instructions below. Think of ${{numq}} people who might turn to it, as
different as possible in age, work, knowledge, mood and intent. For each of them write the one
question or request that this person would bring, in the person's own words, without describing
the person.
{_FORM}""",
}
_THOUGHTS = re.compile(r"\A(\s*<think>.*?(</think>|\Z)|.*?</think>)", re.DOTALL)
_FENCE = re.compile(r"\s*```.*")
_RULE = re.compile(r"\s*(-{3,}|\*{3,}|_{3,})\s*")
_ITEM = re.compile(
    r"""(?P<indent>[ \t\u200e\u200f\ufeff]*)(?P<bold>\*\*|__)?
    (?: (?P<number>\(?(?:Q(?:uestion)?\s*)?\d{1,3}(?(bold)(?:(?P=bold))?)\s*[.):．、）：](?!\d))
      | (?P<bullet>[-*+•●○◦‣▪■·–—](?=\s)) )
    (?(bold)(?:(?P=bold))?)
    \s*(?P<text>.*)""",
    re.VERBOSE | re.IGNORECASE,
)
_NESTED = 2
_ASKING = ("?", "？", "؟")
_CLOSING = " \t*_\"'”»"
_QUOTES = {'"': '"', "“": "”", "'": "'", "«": "»", "„": "“"}


def wording(request: QuestionsRequest) -> str:
    """Return the text that asks for questions: the generator's template or that of its type."""
    template = request.template or _TEMPLATES[request.kind]
    numq = min(request.wanted, MOST_AT_ONCE)
    text = Template(template).safe_substitute(numq=numq, prompt_u=request.prompt.text)
    excluded = "".join(f"- {question}\n" for question in _excluded(request.known))
    return f"{text}\n\nThese exist already; do not repeat them:\n{excluded}" if excluded else text


def listed(text: str) -> list[str]:
    """Return the items of the numbered or bulleted list in a text.

    A numbered list may hold bullets and a bulleted one numbers; an item may go on over several
    lines. Without any list, the lines that end with a question mark are the items.
    """
    lines = _THOUGHTS.sub("", text).splitlines()
    asking = (line for line in lines if line.rstrip(_CLOSING).endswith(_ASKING))
    items = list(_items(_joined(lines))) or list(asking)
    return [item for item in map(_plain, items) if item]


def _excluded(known: dict[str, str]) -> list[str]:
    """Return the latest questions, as many as fit into the request."""
    latest: list[str] = []
    size = 0
    for question in reversed(known.values()):
        size += len(question)
        if size > _MOST_EXCLUDED:
            break
        latest.append(question)
    return latest[::-1]


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines, those of a block of code as one, and without fences around the list."""
    block: list[str] = []
    is_listed = False
    for line in lines:
        if block or _FENCE.fullmatch(line):
            block.append(line)
            if len(block) > 1 and _FENCE.fullmatch(line):
                yield from _unfenced(block, is_listed=is_listed)
                block = []
        else:
            is_listed = is_listed or _ITEM.fullmatch(line) is not None
            yield line
    yield from block


def _unfenced(block: list[str], *, is_listed: bool) -> list[str]:
    inside = block[1:-1]
    if is_listed or not any(map(_ITEM.fullmatch, inside)):
        return [dedent("\n".join(block))]
    return ["", *inside, ""]


def _items(lines: Iterable[str]) -> Iterator[str]:
    """Yield the items, their further lines included, without what is said around the list.

    The first marker tells how the list is marked. Another kind of marker, or one further in, is
    part of an item.
    """
    first: re.Match[str] | None = None
    item: list[str] = []
    after_blank = False
    for line in lines:
        found = _ITEM.fullmatch(line)
        begins = found is not None and (first is None or _is_alike(first, found))
        if begins or _is_outside(line, after_blank=after_blank):
            if item:
                yield "\n".join(item)
            first, item = (first or found, [found["text"]]) if begins and found else (first, [])
        elif item and line.strip():
            item.append(line.strip())
        after_blank = not line.strip()
    if item:
        yield "\n".join(item)


def _is_alike(first: re.Match[str], found: re.Match[str]) -> bool:
    same_marker = (first["number"] is None) == (found["number"] is None)
    return same_marker and _indent(found) < _indent(first) + _NESTED


def _is_outside(line: str, *, after_blank: bool) -> bool:
    """Say whether a line without a marker ends the item before it."""
    if line.startswith("#") or _RULE.fullmatch(line):
        return True
    return after_blank and not line[:1].isspace() and bool(line) and not _FENCE.match(line)


def _indent(found: re.Match[str]) -> int:
    return len(found["indent"].expandtabs(4))


def _plain(item: str) -> str:
    """Return an item without the emphasis and the quotes that enclose the whole of it."""
    text = item.strip()
    for mark in ("**", "__"):
        if text.endswith(mark) and text.count(mark) == 1:
            text = text.removesuffix(mark)  # it began in front of the number
        elif _encloses(text, mark, mark):
            text = text[len(mark) : -len(mark)]
    if _encloses(text, text[:1], _QUOTES.get(text[:1], "")):
        text = text[1:-1]
    return text.strip()


def _encloses(text: str, opening: str, closing: str) -> bool:
    if not closing or not (text.startswith(opening) and text.endswith(closing)):
        return False
    return text.find(closing, len(opening)) == len(text) - len(closing) > 0
