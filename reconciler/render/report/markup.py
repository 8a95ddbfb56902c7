"""Elements of HTML and SVG, in which text is text.

Whatever is not ``Markup`` is made harmless and escaped, in content as in attributes. Never asks
what an element means.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from reconciler.render.style import safe

if TYPE_CHECKING:
    from collections.abc import Iterable

_VOID = frozenset({"input", "link", "meta"})


class Markup(str):
    """Text that is HTML already, made here or written by us."""

    __slots__ = ()


def text(value: str) -> Markup:
    """Return text as HTML: without control characters, and escaped."""
    return Markup(escape(safe(value)))


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Return parts after one another, each escaped unless it is markup."""
    return Markup(between.join(_markup(part) for part in parts))


def tag(name: str, /, *children: str, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    ``class_`` is written ``class`` and ``aria_label`` ``aria-label``; an attribute that is True
    stands alone, one that is None or False not at all.
    """
    head = f"<{name}{''.join(_attribute(*item) for item in attributes.items())}>"
    if name in _VOID:
        return Markup(head)
    return Markup(f"{head}{joined(children)}</{name}>")


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    label = name.rstrip("_").replace("_", "-")
    return f" {label}" if value is True else f' {label}="{text(str(value))}"'


def _markup(part: str) -> Markup:
    return part if isinstance(part, Markup) else text(part)
