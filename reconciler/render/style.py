"""Colour that means something, and text that cannot do harm on a terminal."""

from __future__ import annotations

import re
import unicodedata

_ESCAPE = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])"
#: Unicode categories that draw nothing of their own but change what is drawn.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def safe(text: str) -> str:
    """Return text without control sequences, on one line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, re.sub(_ESCAPE, "", text)))


def shorten(text: str, width: int) -> str:
    """Return harmless text of at most ``width`` characters; what is cut is shown as an ellipsis."""
    plain = safe(text)
    return plain if len(plain) <= width else plain[: max(1, width - 1)] + "…"


def _visible(char: str) -> str:
    if char in "\n\r\t":
        return " "
    return "" if unicodedata.category(char) in _INVISIBLE else char


class Style:
    """How to paint: with ANSI colours, or not at all."""

    def __init__(self, *, colour: bool = False) -> None:
        self.colour = colour

    def good(self, text: str) -> str:
        """Paint what is as wanted, or will be created."""
        return self._paint(text, "32")

    def busy(self, text: str) -> str:
        """Paint what runs or will run."""
        return self._paint(text, "36")

    def warn(self, text: str) -> str:
        """Paint what deserves a look."""
        return self._paint(text, "33")

    def bad(self, text: str) -> str:
        """Paint what is wrong or destroys."""
        return self._paint(text, "31")

    def dim(self, text: str) -> str:
        """Paint what matters less."""
        return self._paint(text, "2")

    def strong(self, text: str) -> str:
        """Paint what matters more."""
        return self._paint(text, "1")

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text
