"""The YAML parser's complaints, in words that say what to do.

libyaml and PyYAML's own parser name the same faults differently; both are understood. This module
only words faults; it parses nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import yaml

from reconciler.core.model.manifest import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Callable

    from yaml.error import Mark

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INDENT = re.compile(r"[ ]*\t")


class Fault(NamedTuple):
    """Something wrong in a text; lines and columns count from 1."""

    line: int
    column: int
    message: str

    def within(self, file: str) -> Diagnostic:
        """Return the diagnostic for the file that has this text."""
        return Diagnostic(file, self.line, self.column, self.message)


class Broken(NamedTuple):
    """Takes the place of what a file says, where that cannot be taken."""

    faults: tuple[Fault, ...]


class _Complaint(NamedTuple):
    """What the parser said, and the text at the place it means."""

    problem: str
    context: str
    line: str
    column: int
    opened: int

    @property
    def char(self) -> str:
        return self.line[self.column : self.column + 1]

    @property
    def starts_line(self) -> bool:
        return not self.line[: self.column].strip(" -")


def explain(error: yaml.YAMLError, text: str) -> Fault:
    """Return the position and the plain meaning of an error of the parser."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return _explain_marked(error, error.problem_mark, text)
    found = _UNPRINTABLE.search(text)
    if found is None:
        return Fault(1, 1, f"this is not valid YAML: {error}")
    char = f"U+{ord(found[0]):04X}"
    return at_offset(text, found.start(), f"the control character {char} may not stand here")


def at_offset(text: str, offset: int, message: str) -> Fault:
    """Return a fault at a character of the text."""
    line_start = text.rfind("\n", 0, offset) + 1
    return Fault(text.count("\n", 0, offset) + 1, offset - line_start + 1, message)


def _explain_marked(error: yaml.MarkedYAMLError, mark: Mark, text: str) -> Fault:
    context = error.context or ""
    opened = error.context_mark or mark
    if "quoted scalar" in context and "found unexpected" in (error.problem or ""):
        return _fault(opened, "this quoted text is never closed")
    if "simple key" in context:
        return _fault(opened, 'a ":" is missing here; expected "key: value"')
    lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", text)
    line = lines[mark.line] if mark.line < len(lines) else ""
    complaint = _Complaint(error.problem or "", context, line, mark.column, opened.line + 1)
    return _fault(mark, _meaning(complaint))


def _meaning(complaint: _Complaint) -> str:
    if (
        "tab character" in complaint.problem
        or complaint.char == "\t"
        or _INDENT.match(complaint.line)
    ):
        return "a tab indents this line; YAML allows spaces only"
    for fragments, meaning in _MEANINGS:
        if any(part in complaint.problem or part in complaint.context for part in fragments):
            return meaning(complaint)
    return f"this is not valid YAML: {complaint.problem}"


def _misplaced(complaint: _Complaint) -> str:
    if complaint.char == ":":
        return 'a key is missing before this ":"'
    if complaint.starts_line:
        return "this line's indentation fits no block above it"
    return "this text does not belong after the value; put the whole value in quotes"


def _unclosed(complaint: _Complaint) -> str:
    if complaint.line[complaint.column - 1 : complaint.column + 2] == "${{":
        return "between brackets, put text that holds ${{ }} in quotes"
    bracket = "]" if "sequence" in complaint.context else "}"
    return (
        f'expected "," or "{bracket}"; the bracket opened on line {complaint.opened} is not closed'
    )


def _no_value(complaint: _Complaint) -> str:
    if complaint.char:
        return f'a value is missing before "{complaint.char}"'
    return "the file ends where a value should stand"


def _unquoted_mark(complaint: _Complaint) -> str:
    mark = "*" if "alias" in complaint.context else "&"
    return f'put a value that begins with "{mark}" in quotes'


def _says(message: str) -> Callable[[_Complaint], str]:
    return lambda _: message


#: What the parser says or was about (parts of it) → what that means for the author.
_MEANINGS: tuple[tuple[tuple[str, ...], Callable[[_Complaint], str]], ...] = (
    (
        ("cannot start any token",),
        lambda it: f'a value cannot begin with "{it.char}"; put it in quotes',
    ),
    (
        ("mapping values are not allowed",),
        _says(
            'a ":" does not belong here; put a value that contains ": " in quotes, '
            "or check the indentation"
        ),
    ),
    (("scanning an alias", "scanning an anchor"), _unquoted_mark),
    (
        ("unknown escape",),
        _says(
            'unknown escape in this double-quoted text; write "\\\\" for a backslash, '
            "or use single quotes"
        ),
    ),
    (
        ("hexdecimal", "hexadecimal", "Unicode character escape"),
        _says("this escape is no character; write the character itself"),
    ),
    (("undefined tag handle",), _says("tags of your own are not supported")),
    (("a block scalar",), _says('after "|" or ">" the text begins on the next line')),
    (("flow sequence", "flow mapping"), _unclosed),
    (("node content",), _no_value),
    (("a block mapping",), _misplaced),
    (
        ("a block collection",),
        lambda it: f'expected another "- " item of the list that begins on line {it.opened}',
    ),
    (
        ("document start",),
        _says(
            'this belongs to no document; check the indentation, or separate documents with "---"'
        ),
    ),
    (("directive", "incompatible YAML"), _says('leave out this "%" directive')),
)


def _fault(mark: Mark, message: str) -> Fault:
    return Fault(mark.line + 1, mark.column + 1, message)
