"""Strategies that damage what was good: values, the way they are written down, and bytes."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[Any, ...]

#: Words with power over terminals, pages, YAML, file systems and readers.
EVIL = (
    "\x1b[2J\x1b]0;owned\x07", "\x1b]8;;http://evil.example\x1b\\x\x1b]8;;\x1b\\", "\x9b31m", "\r",
    "\x00", "\u202etxt.exe\u2066", "\u2028", "\ufeff", "zero\u200bwidth", "\ud800", "\U0010ffff",
    "<script>alert(1)</script>", "[x](http://evil.example)", "@everyone", "``` | `", "${x}", "%s",
    "{0}", "no", "12:30", "1e3", "null", "~", "<<", "=", "0x_", "2001-99-99", "../..",
    "/etc/passwd",
    "", " ", "a" * 5_000, "é" * 129, "batch", "a/b",
)  # fmt: skip
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(EVIL),
    st.text(max_size=8),
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**18, -(2**63) - 1, 2**64, 10**400, 0.1, -0.0, 1e308, 5e-324]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(EVIL) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of all parts of a value, itself included."""
    yield path
    entries: Any = ()
    if isinstance(value, (dict, list)):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
    yield from chain.from_iterable(places(part, (*path, key)) for key, part in entries)


def changed(value: Any, path: Path, how: str, new: Any) -> Any:
    """Return a copy of a value in which one part was replaced, removed, renamed or joined."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    entries = dict(value.items() if isinstance(value, dict) else enumerate(value))
    if rest or how == "replace":
        entries[step] = changed(entries[step], rest, how, new)
    elif how == "remove":
        del entries[step]
    elif how == "rename":
        entries[str(new)] = entries.pop(step)
    else:
        entries[f"{step}{new}" if isinstance(value, dict) else len(entries)] = new
    return entries if isinstance(value, dict) else list(entries.values())


@st.composite
def damaged(draw: st.DrawFn, value: Any, values: st.SearchStrategy[Any] = VALUES) -> Any:
    """Return values that differ from a good one in one place, two or three."""
    for _ in range(draw(st.integers(1, 3))):
        paths = list(places(value))
        path = draw(st.sampled_from(paths))
        how = draw(st.sampled_from(["replace", "replace", "remove", "rename", "add"]))
        value = changed(value, path, how, draw(values))
    return value


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def as_yaml(value: Any) -> bytes:
    # JSON is YAML but for half a character, which YAML cannot spell.
    return json.dumps(value, ensure_ascii=True).encode()


LINES = (
    b"\t- x", b"&a [*a]", b"a: &a {<<: *a}", b"<<: *nowhere",
    b"x: !!python/object/apply:os.abort []",
    b"y: !!binary x", b"z: !x {}", b"w: !!set {a}", b"- - - - -", b"%YAML 9.9", b"%TAG ! x", b"...",
    b"---", b"--- |", b"? [a]: b", b"? - a", b"{", b"]", b'"', b"'", b"<<<<<<< HEAD", b"=======",
    b": : :", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\x00", b"\xc2\x85", b"\x1b[2J",
    b"d: 2001-99-99",
    b"n: 0x_", b"o: 0b", b"s: 1_:_", b"k: 9" + b"9" * 5_000, b"[" * 300, b"{a: " * 300, b"- " * 300,
    b"? " * 300, b"version: 1", b"version: 99", b"a" * 2_000 + b": x", b"@x", b"`x", b"# \x7f",
    b"|", b">",
)  # fmt: skip
ENCODINGS = ("utf-16", "utf-16-be", "utf-32", "utf-7", "latin-1", "cp037", "utf-8-sig")


def _reencoded(data: bytes, encoding: str) -> bytes:
    return data.decode(errors="replace").encode(encoding, errors="replace")


@st.composite
def damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Return bytes that differ from good ones as accidents and people make them differ."""
    lines = data.split(b"\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        indented = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        how = draw(st.sampled_from(["insert", "insert", "repeat", "drop", "indent", "swap"]))
        if how == "insert":
            lines.insert(at, indented + draw(st.sampled_from(LINES)))
        elif how == "repeat":
            lines.insert(at, lines[at])
        elif how == "drop" and len(lines) > 1:
            del lines[at]
        elif how == "indent":
            lines[at] = draw(st.sampled_from([b" ", b"\t", b"  "])) + lines[at]
        else:
            lines[at] = lines[at].replace(b":", draw(st.sampled_from([b"", b"=", b": :"])))
    data = draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"])).join(lines)
    return draw(_bytewise(data))


def _bytewise(data: bytes) -> st.SearchStrategy[bytes]:
    def flipped(at: int, bit: int) -> bytes:
        return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]

    last = max(0, len(data) - 1)
    flips = st.builds(flipped, st.integers(0, last), st.integers(0, 7)) if data else st.just(data)
    return st.one_of(
        st.just(data),
        st.just(data),
        st.integers(0, last).map(lambda end: data[:end]),
        flips,
        st.sampled_from(ENCODINGS).map(lambda encoding: _reencoded(data, encoding)),
        st.binary(max_size=40),
    )


def written(value: Any) -> st.SearchStrategy[bytes]:
    """Return strategies for the ways in which YAML writes a value that it can write."""

    def dumped(style: str | None, flow: bool | None, width: int) -> bytes:
        try:
            text = yaml.safe_dump(
                value, default_style=style, default_flow_style=flow, width=width, allow_unicode=True
            )
            return text.encode()
        except (yaml.YAMLError, UnicodeEncodeError):
            return as_yaml(value)

    styles = st.sampled_from([None, '"', "'", "|", ">"])
    return st.builds(dumped, styles, st.sampled_from([True, False, None]), st.integers(5, 200))
