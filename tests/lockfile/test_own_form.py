"""The reader of our own form: it knows what we write, and never knows better than the YAML library.

What it returns is what the reader of any YAML returns, which checks against the schema; of all else
it says nothing.
"""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler import lockfile
from reconciler.core.model.lock import Lock, LockedRepo
from reconciler.core.model.manifest import Kind, ResourceId
from reconciler.lockfile import own_form, text

from .locks import DIGEST, EXAMPLE, EXAMPLE_TEXT, LOCKS

WHOLE = f"""\
{text.HEADER}api_url: https://api.example
prompts:
  coding/expert:
    digest: {DIGEST}
    live_name: expert
repos:
  coding:
    base_model: Qwen/Qwen3-32B
  other: {{}}
targets:
  coding/gone:
    digest: {DIGEST}
    live_name: gone-00000000
    prevent_destroy: false
  "coding/1":
    digest: {DIGEST}
    live_name: "1"
    rollout:
      attempts: 2
      error: "it said \\"no\\", \\u00e9"
      expected: 12
      lines: 0
      output: {DIGEST}
      status: failed
    stim:
      lines: 4
      status: complete
"""
LINES = WHOLE.splitlines()
#: What may stand in the place of a key or a value.
PIECES = [
    *("", "{}", "[]", "null", "~", "no", "No", "nO", "y", "on", "TRUE", "truE", "none", "noon"),
    *("0", "010", "-0", "-1", "+1", "1_0", "1_000", "0x1", "0o7", "0b1", "1e3", "1.0", ".5"),
    *("1:30", "9" * 18, "9" * 19, "9" * 5_000, "١", "2001-01-01", "sha256:0", DIGEST, DIGEST + "0"),
    *(DIGEST.upper(), f'"{DIGEST}"', "a", "a/b", "a/b/c", "/b", "a/", "/", "a//b", '"a/b"', '"/b"'),
    *('"a/"', '"a/b/c"', "a:", "a:b", "a: b", "a/b:", "a #b", "a#b", " a", "a ", "a\tb", '"a\tb"'),
    *("<<", "=", "*a", "&a b", "!a b", "!!str a", "'a'", "|", ">", "%a", "@a", "`a`", "- a", "? a"),
    *('""', '" a "', '"a" b', '"a', 'a"', '"a""b"', '"\\"', '"\\\\"', '"\\x41"', '"\\q"', '"\\n"'),
    *('"a/\\n"', '"a\\/b"', '"\\ud800"', '"\\U00110000"', '"\\U0001F600"', '"\\x4"', '"\\e"'),
    *("é", '"é"', "a\x85b", "a\u2028b", "a\rb", "a\r", "\ufeffa", "a\x7f", '"\x7f"', "a\nb", "b\n"),
    *("r" * 998, "r" * 1_022, "r" * 1_030, f'"{"r" * 1_030}"', f"r/{'r' * 1_030}"),
    *("<<<<<<< HEAD", "=======", "false", "true", "{a: b}", "version: 2"),
]  # fmt: skip


def agreed(content: str) -> Lock | None:
    """Return what the reader of our own form says, having made sure that it is right."""
    found = own_form.parse(content, text.HEADER, 1_000_000)
    if found is not None:
        other = text.parse_any(content, "x")
        assert found == other
        assert repr(found) == repr(other), "what is found stands in the same order"
    return found


@given(LOCKS)
@example(EXAMPLE)
@example(Lock("local"))
@example(Lock("no", repos={ResourceId(Kind.REPO, "a" * 300): LockedRepo('"\\\u0085\U0001f600')}))
def test_whatever_is_written_is_in_our_own_form(lock: Lock) -> None:
    assert agreed(lockfile.render(lock)) == lock


@pytest.mark.parametrize("number", range(len(LINES)))
def test_no_key_and_no_value_is_taken_for_another(number: int) -> None:
    """Every key and every value of a lockfile, replaced by everything that YAML knows."""
    key, _, value = LINES[number].partition(":")
    indent = key[: -len(key.lstrip(" "))]
    for piece in PIECES:
        for line in (f"{key}: {piece}", f"{key}:{piece}", f"{indent}{piece}:{value}", piece):
            agreed("\n".join([*LINES[:number], line, *LINES[number + 1 :], ""]))


@pytest.mark.parametrize(
    "scalar",
    [
        *("a", "a/b", "a:b", "none", "noon", "nope", '"no"', '""', '" a "', '"7"', "x" * 5_000),
        *(r'"\"\\\n"', r'"\xE9\u2028\U0001F600"', r'"\e[31m\0\_\N\L"'),
    ],
)
def test_a_text_that_is_odd_leaves_a_lockfile_in_our_own_form(scalar: str) -> None:
    found = agreed(WHOLE.replace("live_name: expert", f"live_name: {scalar}"))
    assert found
    assert [entry.live_name for entry in found.prompts.values()] == [yaml.safe_load(scalar)]


edits = st.tuples(
    st.sampled_from(["put", "drop", "repeat", "swap", "indent", "cut"]),
    st.integers(0, len(WHOLE)),
    st.sampled_from(PIECES) | st.sampled_from(LINES) | st.text(max_size=3),
)


@given(st.lists(edits, min_size=1, max_size=3))
def test_no_damage_is_read_in_two_ways(changes: list[tuple[str, int, str]]) -> None:
    content = WHOLE
    for change in changes:
        content = edited(content, *change)
    agreed(content)


def edited(content: str, how: str, place: int, piece: str) -> str:
    if how == "put":
        return content[:place] + piece + content[place:]
    if how == "cut":
        return content[:place] + content[place + 1 + len(piece) :]
    lines = content.split("\n")
    n = place % len(lines)
    if how == "drop":
        del lines[n]
    elif how == "repeat":
        lines.insert(place // len(lines) % len(lines), lines[n])
    elif how == "swap":
        lines[n - 1], lines[n] = lines[n], lines[n - 1]
    else:
        lines[n] = " " * (1 + place % 2) + lines[n]
    return "\n".join(lines)


@pytest.mark.parametrize("how", ["drop", "repeat", "swap", "indent"])
def test_no_line_out_of_its_place_is_read_in_two_ways(how: str) -> None:
    for place in range(len(LINES) ** 2 if how == "repeat" else 2 * len(LINES)):
        agreed(edited(WHOLE, how, place, ""))


STIM = "    stim:\n      lines: 1\n      status: complete\n"


@pytest.mark.parametrize(
    "content",
    [
        WHOLE.replace("repos:\n", STIM + "repos:\n"),
        WHOLE.replace("repos:\n", "    prevent_destroy: false\nrepos:\n"),
        WHOLE.replace("targets:\n", STIM + "targets:\n"),
        WHOLE[: WHOLE.index("  coding/gone")],
        WHOLE.replace("  other: {}\n", "").replace(
            "  coding:\n    base_model: Qwen/Qwen3-32B\n", ""
        ),
        WHOLE.replace("    stim:\n      lines: 4\n      status: complete\n", "    stim: {}\n"),
        WHOLE.replace("  other: {}", "  other:"),
        WHOLE + "...\n",
        WHOLE[:-1],
        WHOLE[len(text.HEADER) :],
        WHOLE.replace("\n", "\r\n"),
    ],
)
def test_what_stands_in_the_wrong_place_is_left_to_the_other_reader(content: str) -> None:
    assert content != WHOLE
    assert agreed(content) is None


def test_a_resource_that_is_there_twice_is_left_to_the_other_reader() -> None:
    again = EXAMPLE_TEXT.index("  coding/coding_target:")
    twice = EXAMPLE_TEXT + EXAMPLE_TEXT[again:].replace("lines: 500", "lines: 7")
    assert agreed(twice) is None


@given(LOCKS)
@example(Lock("a", repos={ResourceId(Kind.REPO, f"r{n}"): LockedRepo(None) for n in range(20)}))
def test_what_is_too_much_for_the_other_reader_is_too_much_here(lock: Lock) -> None:
    content = lockfile.render(lock)
    most = sum(1 for _ in yaml.parse(content)) - 1
    assert own_form.parse(content, text.HEADER, most - 1) is None
    assert own_form.parse(content, text.HEADER, most + 10) == lock
