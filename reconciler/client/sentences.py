"""The body of a refusal → the sentence in it that a person should read.

Servers, and the proxies before them, say what is wrong in JSON of many shapes, in plain text or as
a web page. What comes back is one bounded line without control characters, markup or scripts. It
takes time in proportion to what is read of a body, which is bounded as well.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from reconciler.client.json_text import parsed
from reconciler.render.style import safe

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

_LONGEST = 500
#: How much of what is no JSON is read, in bytes.
_MOST_READ = 20_000
#: So many things that are wrong are enough to know.
_MOST_ITEMS = 20
_DEEPEST = 5
#: Where the known shapes of JSON hold their sentence, the best place first.
_KEYS = ("error", "message", "detail", "errors", "title")
_KEYS_OF_ITEMS = ("message", "msg", "detail")
#: The pieces of a web page. Each of them matches whatever follows its beginning, so that nothing is
#: ever read twice.
_PIECE = re.compile(
    r"""
      <!--.*?(?:-->|\Z)
    | <(?P<hidden>script|style|template)\b.*?(?:</(?P=hidden)[^>]*(?:>|\Z)|\Z)
    | <(?P<closing>/?)(?P<tag>[a-z][a-z0-9]*)[^>]*(?:>|\Z)
    | <[!?/][^>]*(?:>|\Z)
    | (?P<text>[^<]+|<)
    """,
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
_TITLE, _HEADINGS = {"title"}, {"h1", "h2", "h3", "h4", "h5", "h6"}
#: What ends a word on a page, unlike ``b`` and the like.
_BREAKS = {"br", "div", "hr", "li", "p", "td", "tr"}


def sentence_of(content: bytes) -> str:
    """Return the human sentence of an error body; empty where there is none.

    JSON tells it as ``error``, ``message``, ``detail``, ``errors`` or ``title``, or is it, as a
    text or a list; a web page tells it by its title, or else its first heading; plain text is it.
    """
    value = parsed(content)
    if isinstance(value, dict):
        texts = (_line(_told(value.get(key), _DEEPEST)) for key in _KEYS)
        return next(filter(None, texts), "")
    if value is not None:
        return _line(_told(value, _DEEPEST))
    line = _line(_words(content[:_MOST_READ].decode("utf-8-sig", "replace").strip()))
    return line if any(map(str.isalnum, line)) else ""


def _line(text: str) -> str:
    """Return a text on one line, without control characters, and not too long."""
    line = " ".join(safe(text.strip()[: 4 * _LONGEST]).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST].rsplit(" ", 1)[0] + "…"


def _told(value: Any, room: int) -> str:
    """Return what a JSON value says, as far as it is one of the shapes that are in use."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and room:
        texts = (_told(value.get(key), room - 1) for key in _KEYS_OF_ITEMS)
        return next(filter(None, texts), "")
    if isinstance(value, list) and room:
        texts = (_item(item, room - 1) for item in value[:_MOST_ITEMS])
        return "; ".join(filter(None, texts))
    return ""


def _item(item: Any, room: int) -> str:
    """Return what one of several things says, after the place that it is about."""
    text, place = _told(item, room), item.get("loc") if isinstance(item, dict) else None
    parts = place[:_MOST_ITEMS] if isinstance(place, list) else []
    where = ".".join(str(part) for part in parts if isinstance(part, str | int))
    return f"{where}: {text or 'invalid'}" if where else text


def _words(text: str) -> str:
    """Return what a text or a web page says; nothing of what is neither."""
    if "\0" in text:
        return ""
    if "<" not in text:
        return text
    page = list(_pieces(text))
    if text.startswith("<"):
        return _first(page, _TITLE) or _first(page, _HEADINGS)
    return "".join(words for _, words in page)


def _first(page: Iterable[tuple[str, str]], places: Container[str]) -> str:
    """Return the words of the first title or heading that has any."""
    found = ""
    for place, words in page:
        if place in places:
            found += words
        elif found.strip():
            break
    return found.strip()


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield the words of a page, each with the title or heading that it stands in, if any."""
    place = ""
    for piece in _PIECE.finditer(text):
        tag = (piece["tag"] or "").lower()
        if tag in _TITLE or tag in _HEADINGS:
            yield "", " "
            place = "" if piece["closing"] else tag
        elif tag in _BREAKS:
            yield place, " "
        elif piece["text"]:
            yield place, html.unescape(piece["text"])
