"""Laws of reading: what holds for every text, not only for those that somebody thought of."""

from __future__ import annotations

import json
import random
import re
import tempfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler import schema_files
from reconciler.core.errors import InvalidManifestsError
from reconciler.core.schema.checking import Checker
from reconciler.manifests import json_text, load, reader
from reconciler.manifests.discovery import discover
from reconciler.manifests.loading import Loading

if TYPE_CHECKING:
    from collections.abc import Iterator

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(["no", "12:30", "1e3", "2024-01-01", "~", "", "<<", "=", "0x1F", "a: b", "-"])
)
BASIC = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
KEYS = st.text(BASIC, max_size=5) | st.sampled_from(["yes", "1", "null", "<<", "- a"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
PIECES = (
    [
        *"abc01.:-,?!&*#|>'\"%@`~ \n\t[]{}=<_e+é",
        "\n  ",
        "\n- ",
        ": ",
        "\n---\n",
        "<<: ",
        "&a ",
        "*a",
    ],
    ["no", "12:30", "2001-01-01", "!!str ", "!!int ", "!!map ", "0x", ".inf", "null", "\\x"],
)
FRAGMENTS = st.lists(st.sampled_from(list(chain(*PIECES))), max_size=25).map("".join)
MANIFEST = """\
apiVersion: reconciler/v1
kind: Target
metadata: {repo: coding, name: t, labels: {a: b}}
spec:
  template: default
  teacher_prompt: a
  generators:
    - {type: hardcoded, questions: [a, b], numq: 1}
    - {type: custom, template_content: x, seed: 1}
  temperature: 0.5
  extra_kwargs: {x: [1]}
desired: {stim: complete, rollout: {state: none, timeout: 1h}}
policy: {on_change: fail, retries: 1}
"""
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
SCHEMA = schema_files.load("manifest")
TARGET = Checker(SCHEMA, "Target")
ORACLE = Draft202012Validator({"$ref": "#/$defs/Target", "$defs": SCHEMA["$defs"]})


def dump(value: Any, style: str | None, flow: bool | None, width: int) -> str:
    return yaml.safe_dump(
        value, default_style=style, default_flow_style=flow, width=width, allow_unicode=True
    )


@given(
    VALUES,
    st.sampled_from([None, '"', "'", "|", ">"]),
    st.sampled_from([True, False, None]),
    st.integers(5, 80),
)
def test_any_style_is_read_as_pyyaml_reads_it(
    value: Any, style: str | None, flow: bool | None, width: int
) -> None:
    text = dump({"root": value}, style, flow, width)
    found = reader.read(text)
    assert found.stopped is None
    (document,) = found.documents
    assert document.faults == ()
    assert document.value == yaml.load(text, Loader=yaml.CSafeLoader)


@settings(max_examples=600)
@given(FRAGMENTS)
def test_what_is_read_is_what_pyyaml_reads(text: str) -> None:
    found = reader.read(text)
    if found.stopped or any(document.faults for document in found.documents):
        return
    values = [document.value for document in found.documents if document.value is not None]
    assert values == (values if tolerated(text) else [*by_pyyaml(text)])


def tolerated(text: str) -> bool:
    """Tell whether a text has what is taken here, though PyYAML's constructor refuses it."""
    return "=" in text or "<<" in text or text.count("&a") > 1


def by_pyyaml(text: str) -> Iterator[Any]:
    values = yaml.load_all(text, Loader=yaml.CSafeLoader)
    return (value for value in values if value is not None)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_positions_lead_to_the_text_they_mean(value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=1)
    lines = text.split("\n")
    document = json_text.places(text)
    assert document
    for path, part in parts_of(value):
        line, column = document.position(path)
        shown = json.dumps(part, indent=1).split("\n")[0]
        assert lines[line - 1][column - 1 :].startswith(shown)
        if path and isinstance(path[-1], str):
            line, column = document.position(path, at_key=True)
            assert lines[line - 1][column - 1 :].startswith(json.dumps(path[-1]))


def parts_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    found = [(path, value)]
    if isinstance(value, (dict, list)):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in entries:
            found += parts_of(part, (*path, key))
    return found


@given(st.randoms(use_true_random=False), st.sampled_from([None, "'", '"']), st.booleans())
def test_neither_order_nor_style_matters(rng: random.Random, style: str | None, flow: bool) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(item) for item in value]
        if not isinstance(value, dict):
            return value
        keys = rng.sample(sorted(value), len(value))
        return {key: shuffled(value[key]) for key in keys}

    text = yaml.safe_dump(
        shuffled(yaml.safe_load(MANIFEST)),
        sort_keys=False,
        default_style=style,
        default_flow_style=flow,
    )
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder, "one.yaml"), Path(folder, "other.yaml")
        one.write_text(MANIFEST)
        other.write_text(text)
        assert loaded(one) == loaded(other)


def loaded(path: Path) -> list[Any]:
    loading = Loading(discover(path))
    assert loading.diagnostics == []
    return [document.value for document in loading.documents]


def load_or_complain(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.yaml").write_bytes(data)
        try:
            load(Path(folder))
        except InvalidManifestsError as error:
            lines = data.decode(errors="replace").splitlines() or [""]
            for diagnostic in error.diagnostics:
                assert 1 <= diagnostic.line <= len(lines) + 1
                assert diagnostic.column >= 1
                assert not CONTROL.search(str(diagnostic))


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_in_peace(data: bytes) -> None:
    load_or_complain(data)


@settings(max_examples=300)
@given(st.integers(0, len(MANIFEST)), st.integers(0, 12), FRAGMENTS)
def test_damaged_manifests_are_refused_in_peace(start: int, removed: int, added: str) -> None:
    load_or_complain((MANIFEST[:start] + added[:8] + MANIFEST[start + removed :]).encode())


@given(st.data())
def test_every_refusal_of_the_schema_is_explained(data: st.DataObject) -> None:
    value = yaml.safe_load(MANIFEST)
    paths = [path for path, _ in parts_of(value) if path]
    for path in data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
        change(value, path, data.draw(VALUES))
    problems = TARGET.problems(value)
    assert bool(problems) is not ORACLE.is_valid(value)
    reachable = {path for path, _ in parts_of(value)}
    for problem in problems:
        assert problem.path in reachable
        assert problem.message.isprintable()


def change(value: Any, path: tuple[Any, ...], new: Any) -> None:
    """Replace what is at a path, if an earlier change left it there."""
    for step in path[:-1]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(value, dict) or (isinstance(value, list) and path[-1] in range(len(value))):
        value[path[-1]] = new
