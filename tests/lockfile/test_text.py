"""The text of a lockfile: exact bytes, nothing lost, and clear words about what cannot be read."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler import lockfile, schema_files
from reconciler.core.errors import ExitCode, InvalidLockfileError
from reconciler.core.model.desired import Stage
from reconciler.core.model.lock import Lock, LockedPrompt, LockedStage, LockedTarget
from reconciler.core.model.manifest import Kind, ResourceId

from . import plain_writer
from .locks import DIGEST, EXAMPLE, EXAMPLE_TEXT, LOCKS, OTHER


def test_the_example_has_exactly_the_bytes_of_the_contract() -> None:
    assert lockfile.render(EXAMPLE) == EXAMPLE_TEXT
    assert lockfile.parse(EXAMPLE_TEXT, "x") == EXAMPLE


@pytest.mark.parametrize(
    ("key", "line", "column"), [("version", 3, 1), ("targets", 12, 1), ("lines", 18, 7)]
)
def test_a_key_that_stands_twice_is_refused(key: str, line: int, column: int) -> None:
    torn = re.sub(rf"^( *){key}:.*$", rf"\1{key}: 1\n\g<0>", EXAMPLE_TEXT, flags=re.MULTILINE)
    said = f"x:{line}:{column}: no YAML: {key} stands here twice"
    with pytest.raises(InvalidLockfileError, match=said):
        lockfile.parse(torn, "x")


def test_a_key_twice_in_a_file_of_somebody_else_is_nothing_to_mend() -> None:
    with pytest.raises(InvalidLockfileError, match="stands here twice") as raised:
        lockfile.parse("services:\n  web: 1\n  web: 2\n", "x")
    assert not isinstance(raised.value, lockfile.ConflictMarkersError)


def test_another_indentation_is_read_as_well() -> None:
    targets = {
        ResourceId(Kind.TARGET, "r", name): LockedTarget(
            OTHER, name, stages={Stage.STIM: LockedStage("complete", 1, 1)}
        )
        for name in "ab"
    }
    text = lockfile.render(Lock("local", targets=targets))
    narrow = re.sub("^ +", lambda found: found[0][::2], text, flags=re.MULTILINE)
    assert lockfile.parse(narrow, "x") == Lock("local", targets=targets)


def test_what_appears_only_now_and_then_has_its_place() -> None:
    stim = LockedStage("failed", 3, 8, attempts=2, error='disk: "full"', output=DIGEST)
    entry = LockedTarget(OTHER, "a-12345678", prevent_destroy=False, stages={Stage.STIM: stim})
    text = lockfile.render(Lock("local", targets={ResourceId(Kind.TARGET, "r", "a"): entry}))
    assert text.endswith(
        f"""\
api_url: local
prompts: {{}}
repos: {{}}
targets:
  r/a:
    digest: {OTHER}
    live_name: a-12345678
    prevent_destroy: false
    stim:
      attempts: 2
      error: "disk: \\"full\\""
      expected: 8
      lines: 3
      output: {DIGEST}
      status: failed
"""
    )


@given(LOCKS)
def test_nothing_is_lost_and_the_same_lock_gives_the_same_bytes(lock: Lock) -> None:
    text = lockfile.render(lock)
    again = lockfile.parse(text, "x")
    assert again == lock
    assert lockfile.render(again) == text


@given(LOCKS)
@example(
    Lock(
        "no:",
        targets={
            ResourceId(Kind.TARGET, "r", "a"): LockedTarget(
                "yEs", "", stages={Stage.STIM: LockedStage("\ud83d", -1, attempts=1, error="")}
            )
        },
    )
)
@example(
    Lock(
        "local",
        prompts={
            ResourceId(Kind.PROMPT, repo, name): LockedPrompt(DIGEST, name)
            for repo, name in (("a-b", "x"), ("a", "y-z"), ("a", "y"))
        },
    )
)
def test_every_block_is_the_one_that_follows_from_its_fields(lock: Lock) -> None:
    assert lockfile.render(lock) == plain_writer.render(lock)


@given(st.text() | st.text(st.characters(max_codepoint=127)))
@example("a" * 5_000 + " b" * 500)
@example("".join(map(chr, range(32, 127))))
@example("a" * 200 + "\\ " * 200 + "é")
def test_every_text_is_the_scalar_that_the_yaml_library_makes_of_it(url: str) -> None:
    assert lockfile.render(Lock(url)) == plain_writer.render(Lock(url))


@given(LOCKS)
def test_any_yaml_reader_sees_the_same_and_the_schema_agrees(lock: Lock) -> None:
    value = yaml.safe_load(lockfile.render(lock))
    Draft202012Validator(dict(schema_files.load("lockfile"))).validate(value)
    assert set(value["repos"]) == {id_.repo for id_ in lock.repos}
    assert set(value["targets"]) == {str(id_) for id_ in lock.targets}
    for id_, target in lock.targets.items():
        for stage, seen in target.stages.items():
            block = value["targets"][str(id_)][stage]
            assert (block["status"], block.get("error")) == (seen.status, seen.error)


@given(LOCKS, st.randoms(use_true_random=False))
def test_the_order_in_which_things_were_seen_does_not_matter(
    lock: Lock, chance: random.Random
) -> None:
    shuffled = Lock(
        lock.api_url,
        *(mixed(part, chance) for part in (lock.repos, lock.prompts, lock.targets)),
    )
    assert lockfile.render(shuffled) == lockfile.render(lock)


def mixed(part: Any, chance: random.Random) -> Any:
    items = list(part.items())
    chance.shuffle(items)
    return dict(items)


@given(LOCKS)
def test_every_key_is_sorted_and_every_line_is_clean(lock: Lock) -> None:
    text = lockfile.render(lock)
    assert text.endswith("\n")
    assert text.isascii()
    assert all(line == line.rstrip() for line in text.splitlines())
    assert "\r" not in text
    assert "\t" not in text


def test_a_sentence_with_half_a_character_does_not_spoil_the_file() -> None:
    """JSON can hold what UTF-8 cannot; the service's sentence arrives as JSON."""
    stim = LockedStage("failed", 0, error="broken \ud83d emoji")
    lock = Lock(
        "local",
        targets={
            ResourceId(Kind.TARGET, "r", "a"): LockedTarget(DIGEST, "a", stages={Stage.STIM: stim})
        },
    )
    read = lockfile.parse(lockfile.render(lock), "x")
    seen = read.targets[ResourceId(Kind.TARGET, "r", "a")].stages[Stage.STIM]
    assert str(seen.error).startswith("broken ")


def test_two_branches_that_touch_different_targets_change_different_lines() -> None:
    def with_lines(first: int, second: int) -> list[str]:
        entries = {
            ResourceId(Kind.TARGET, "r", name): LockedTarget(
                DIGEST, name, stages={Stage.STIM: LockedStage("complete", lines, 9)}
            )
            for name, lines in (("a", first), ("b", second))
        }
        return lockfile.render(Lock("local", targets=entries)).splitlines()

    base, ours, theirs = with_lines(1, 1), with_lines(2, 1), with_lines(1, 2)
    changed = [{n for n, line in enumerate(base) if side[n] != line} for side in (ours, theirs)]
    assert [len(lines) for lines in changed] == [1, 1]
    assert abs(changed[0].pop() - changed[1].pop()) >= 3


def refused(text: str) -> InvalidLockfileError:
    with pytest.raises(InvalidLockfileError) as caught:
        lockfile.parse(text, "reconciler.lock")
    assert caught.value.exit_code is ExitCode.INVALID
    assert caught.value.hint
    assert caught.value.message.startswith("reconciler.lock")
    return caught.value


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "=======", ">>>>>>> theirs"])
def test_conflict_markers_are_found_with_their_line(marker: str) -> None:
    lines = EXAMPLE_TEXT.splitlines()
    error = refused("\n".join([*lines[:8], marker, *lines[8:], ""]))
    assert ":9:" in error.message
    assert "refresh" in error.hint


def test_conflict_markers_are_found_whatever_ends_a_line() -> None:
    conflict = ["<<<<<<< HEAD", "      lines: 1", "=======", "      lines: 2", ">>>>>>> theirs"]
    error = refused("\r\n".join([*EXAMPLE_TEXT.splitlines(), *conflict, ""]))
    assert "conflict" in error.message


@pytest.mark.parametrize("marker", ["<<<<<<<", "=======", ">>>>>>>"])
def test_a_marker_that_was_left_alone_is_found_whatever_ends_its_line(marker: str) -> None:
    error = refused("\r\n".join([*EXAMPLE_TEXT.splitlines(), marker, ""]))
    assert "conflict" in error.message


@pytest.mark.parametrize(
    "text",
    [
        "Heading\n=======\n\nSome words.\n",
        "=======\nHeading\n=======\n",
        "kind: Repo\nmetadata:\n  name: a\n---\nkind: Repo\nmetadata:\n  name: a\n",
        "<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> theirs\n",
        "<<<<<<< HEAD\nversion: '3'\n=======\nversion: '4'\n>>>>>>> theirs\nservices: {}\n",
    ],
)
def test_traces_of_a_merge_in_something_else_do_not_make_it_a_lockfile(text: str) -> None:
    """Else `refresh` would write over it."""
    error = refused(text)
    assert not isinstance(error, lockfile.ConflictMarkersError)
    assert "Delete" not in error.hint


@pytest.mark.parametrize(
    "torn",
    [
        f"<<<<<<< ours\n=======\n{EXAMPLE_TEXT}>>>>>>> theirs\n",
        f"<<<<<<< ours\r\n{EXAMPLE_TEXT}=======\r\n>>>>>>> theirs\r\n",
        "# Written by reconciler\n<<<<<<< a\nversion: 1\n=======\nversion: 2\n>>>>>>> b\n",
        "version: 1\n<<<<<<< a\napi_url: a\n||||||| c\n=======\napi_url: b\n>>>>>>> b\n",
    ],
)
def test_a_torn_lockfile_is_one_wherever_it_is_torn(torn: str) -> None:
    assert isinstance(refused(torn), lockfile.ConflictMarkersError)


def test_something_like_a_marker_inside_a_sentence_is_none() -> None:
    seen = LockedStage("failed", 0, error="<<<<<<< HEAD\n=======\n>>>>>>> x")
    entry = LockedTarget(DIGEST, "a", stages={Stage.STIM: seen})
    lock = Lock("local", targets={ResourceId(Kind.TARGET, "r", "a"): entry})
    assert lockfile.parse(lockfile.render(lock), "x") == lock


def test_a_newer_version_asks_for_a_newer_reconciler() -> None:
    error = refused(EXAMPLE_TEXT.replace("version: 1", "version: 2"))
    assert "version 2" in error.message
    assert "Upgrade" in error.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "[]",
        "just words",
        "version: 1\n",
        EXAMPLE_TEXT.replace("version: 1", "version: 0"),
        EXAMPLE_TEXT.replace("version: 1", "version: one"),
        EXAMPLE_TEXT.replace("version: 1\n", ""),
        EXAMPLE_TEXT.replace("lines: 100", "lines: -1"),
        EXAMPLE_TEXT.replace("lines: 100", "lines: many"),
        EXAMPLE_TEXT.replace("lines: 100", "lines: null"),
        EXAMPLE_TEXT.replace("status: complete", "status: 7"),
        EXAMPLE_TEXT.replace("status: complete", "status: complete\n      extra: 1"),
        EXAMPLE_TEXT.replace(DIGEST, "sha256:short"),
        EXAMPLE_TEXT.replace("coding/expert", "expert"),
        EXAMPLE_TEXT.replace("coding/expert", "a/b/c"),
        EXAMPLE_TEXT.replace("  coding:", "  no:"),
        EXAMPLE_TEXT.replace("  coding:", "  123:"),
        EXAMPLE_TEXT.replace("  coding:", "  2001-01-01:"),
        EXAMPLE_TEXT.replace("  coding:", "  [a, b]:"),
        EXAMPLE_TEXT.replace("Qwen/Qwen3-32B", "7"),
        EXAMPLE_TEXT + "more: {}\n",
        EXAMPLE_TEXT + "\tx",
        EXAMPLE_TEXT + "--- \nanother: 1\n",
        EXAMPLE_TEXT.replace("complete", "!!python/object/apply:os.getcwd []"),
        EXAMPLE_TEXT.replace("Qwen/Qwen3-32B", "*anchor"),
        "a: &a [*a]",
        "\x00",
    ],
)
def test_every_other_damage_is_told_with_a_way_out(text: str) -> None:
    assert "refresh" in refused(text).hint


LINES = EXAMPLE_TEXT.splitlines()


@given(
    st.lists(st.tuples(st.integers(0, len(LINES)), st.text(max_size=20)), max_size=3),
    st.sets(st.integers(0, len(LINES) - 1), max_size=3),
)
@example([(2, "123: {}")], set())
def test_no_damage_is_an_internal_error(added: list[tuple[int, str]], dropped: set[int]) -> None:
    lines = [line for n, line in enumerate(LINES) if n not in dropped]
    for place, line in added:
        lines.insert(place, line)
    try:
        lock = lockfile.parse("\n".join(lines), "x")
    except InvalidLockfileError:
        return
    # What could be read can be written again, so that the next run does not stumble over it.
    assume(all(c < "\ud800" or c > "\udfff" for line in lines for c in line))
    assert lockfile.parse(lockfile.render(lock), "x") == lock


MANIFEST = "apiVersion: reconciler/v1\nkind: Repo\nmetadata: {name: r}\n"


@pytest.mark.parametrize(
    "text",
    [
        MANIFEST,
        f"{MANIFEST}---\n{MANIFEST}",
        "[1, 2]",
        "just words",
        "a: [",
        "\x00\x01",
        "version: '3.8'\nservices: {}\n",
        "version: 1\nupdates: []\n",
        "repos:\n- repo: https://github.com/pre-commit/pre-commit-hooks\n",
    ],
)
def test_nobody_is_told_to_delete_what_does_not_begin_like_a_lockfile(text: str) -> None:
    error = refused(text)
    assert "Delete" not in error.hint
    assert "--lockfile" in error.hint


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE_TEXT.replace("lines: 100", "lines: many"),
        EXAMPLE_TEXT.replace("complete", "[", 1),
        "version: 1\nprompts: [\n",
        "\ufeff# Written by reconciler; commit it\n<garbage>",
        "version: 1\n",
        "",
    ],
)
def test_a_damaged_lockfile_may_be_deleted(text: str) -> None:
    assert "Delete" in refused(text).hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (EXAMPLE_TEXT.replace("complete", "[", 1), r"reconciler\.lock:\d+:\d+: no YAML: "),
        (EXAMPLE_TEXT + "--- \nanother: 1\n", r"reconciler\.lock:\d+:\d+: no YAML: .*document"),
        (EXAMPLE_TEXT + "\x00", r"reconciler\.lock: no YAML: "),
        ("a: &a [*a]", r"reconciler\.lock: no YAML: it holds an alias"),
    ],
)
def test_what_is_no_yaml_is_told_on_one_line_with_its_place(text: str, told: str) -> None:
    message = refused(text).message
    assert re.match(told, message)
    assert "<unicode string>" not in message
    assert "\n" not in message
