"""Sets of targets: the same as the targets written by hand, whatever they are made of."""

from __future__ import annotations

import copy
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.declare.sets import MOST_VALUES
from reconciler.core.errors import InvalidManifestsError
from reconciler.manifests import load

if TYPE_CHECKING:
    from manifests.conftest import WriteFiles
    from reconciler.core.model.desired import Desired, DesiredTarget

Json = dict[str, Any]
HEAD = "apiVersion: reconciler/v1\n"
SET = f"""\
{HEAD}kind: TargetSet
metadata: {{repo: coding, name: "${{{{ matrix.topic }}}}-${{{{ matrix.n }}}}"}}
matrix:
  topic: {{files: PATTERN}}
  n: [1, 0.5, true]
template:
  labels: {{n: "${{{{ matrix.n }}}}"}}
  spec:
    teacher_prompt: expert
    generators:
      - {{type: hardcoded, questions_file: "${{{{matrix.topic.path}}}}"}}
    extra_kwargs: {{n: "${{{{ matrix.n }}}}", text: "n is ${{{{ matrix.n }}}}."}}
"""


def complaints(path: Path) -> list[str]:
    with pytest.raises(InvalidManifestsError) as caught:
        load(path)
    return [str(diagnostic) for diagnostic in caught.value.diagnostics]


def names(desired: Desired) -> list[str]:
    return [id_.name for id_ in desired.targets]


def test_a_set_is_its_targets(project: WriteFiles) -> None:
    text = SET.replace("PATTERN", "questions/*.txt")
    root = project({"a.yaml": text, "questions/a.b.txt": "One?\n", "questions/c.txt": "Two?\n"})
    desired = load(root).desired
    assert sorted(names(desired)) == ["a.b-0.5", "a.b-1", "a.b-true", "c-0.5", "c-1", "c-true"]
    for target in desired.targets.values():
        topic, _, n = target.name.rpartition("-")
        question = {"a.b": "One?", "c": "Two?"}[topic]
        assert target.labels == {"n": n}
        assert target.config["generators"] == [{"type": "hardcoded", "questions": [question]}]
        kwargs = target.config["extra_kwargs"]
        assert json.dumps(kwargs["n"]) == n
        assert kwargs["text"] == f"n is {n}."
        assert target.source
        assert (target.source.file, target.source.index) == ("project/a.yaml", 0)
        assert str(target.source.cell) == f"[topic=questions/{topic}.txt, n={n}]"


SCALARS = st.sampled_from([1, 0, 0.7, 1.0, True, False, "a", "b c", "x-1", 'q"', "é", "$", "}}"])
NAMES = st.sampled_from(["a", "b_c", "d-e"])
TEXTS = st.lists(st.sampled_from(["", "x", " ", "$", "{", "}", "a", "b_c", "d-e"]), max_size=5)


@st.composite
def templates(draw: st.DrawFn, known: list[str]) -> Any:
    """Draw a value in which names of the matrix stand, as ``("use", NAME)`` or inside of a text."""
    pieces = draw(TEXTS)
    parts = [("use", piece) if piece in known else piece for piece in pieces]
    leaf = st.just(("text", parts)) | SCALARS.map(lambda it: ("constant", it))
    return draw(
        st.recursive(
            leaf,
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from("klm"), inner, max_size=3)
            ),
            max_leaves=6,
        )
    )


def written(value: Any) -> Any:
    """Return a drawn value as a template has it."""
    if isinstance(value, tuple):
        kind, content = value
        if kind == "constant":
            return content
        spelled = (f"${{{{ matrix.{it[1]} }}}}" if isinstance(it, tuple) else it for it in content)
        return "".join(spelled)
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    return [written(item) for item in value]


def by_hand(value: Any, cell: Json) -> Any:
    """Return a drawn value as somebody would write it who has no sets."""
    if isinstance(value, tuple):
        kind, content = value
        if kind == "constant":
            return content
        kept = [it for it in content if it != ""]
        if len(kept) == 1 and isinstance(kept[0], tuple):
            return cell[kept[0][1]]
        return "".join(text_of(cell[it[1]]) if isinstance(it, tuple) else it for it in content)
    if isinstance(value, dict):
        return {key: by_hand(item, cell) for key, item in value.items()}
    return [by_hand(item, cell) for item in value]


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@given(st.data())
def test_a_set_means_what_its_targets_mean_written_by_hand(data: st.DataObject) -> None:
    matrix = data.draw(
        st.dictionaries(NAMES, st.lists(SCALARS, min_size=1, max_size=3), min_size=1)
    )
    cells: list[Json] = [{}]
    for name, values in matrix.items():
        cells = [{**cell, name: value} for cell in cells for value in values]
    # A name for each cell, whatever is in it.
    numbered = [{**cell, "number": n} for n, cell in enumerate(cells)]
    kwargs = data.draw(st.dictionaries(st.sampled_from("xyz"), templates([*matrix]), max_size=3))
    metadata = {"repo": "coding", "name": "t-${{ matrix.number }}"}
    spec: Json = {
        "teacher_prompt": "p",
        "generators": [{"type": "hardcoded", "questions_file": "q/${{ matrix.number }}.txt"}],
        "max_tokens": "${{ matrix.number }}",
        "extra_kwargs": written(kwargs),
    }
    common = {"apiVersion": "reconciler/v1"}
    whole = {
        **common,
        "kind": "TargetSet",
        "metadata": metadata,
        "matrix": {"include": [{**cell, "number": cell["number"] + 1} for cell in numbered]},
        "template": {"spec": spec, "desired": {"rollout": "none"}},
    }
    single = [
        {
            **common,
            "kind": "Target",
            "metadata": {"repo": "coding", "name": f"t-{cell['number'] + 1}"},
            "spec": {
                "teacher_prompt": "p",
                "generators": [
                    {"type": "hardcoded", "questions_file": f"q/{cell['number'] + 1}.txt"}
                ],
                "max_tokens": cell["number"] + 1,
                "extra_kwargs": by_hand(kwargs, cell),
            },
            "desired": {"rollout": "none"},
        }
        for cell in numbered
    ]
    with tempfile.TemporaryDirectory() as folder:
        one, other = (
            declared(Path(folder, name), it) for name, it in (("a", [whole]), ("b", single))
        )
    assert one == other
    assert [str(target.lazy_digest) for target in one] == [str(it.lazy_digest) for it in other]


def declared(root: Path, documents: list[Json]) -> list[DesiredTarget]:
    """Return the targets that documents declare, but for where they stand."""
    (root / "q").mkdir(parents=True)
    for number in range(1, 30):
        (root / f"q/{number}.txt").write_text(f"Question {number}?\n")
    (root / "a.yaml").write_text(yaml.safe_dump_all(documents, allow_unicode=True))
    return [replace(target, source=None) for target in load(root).desired.targets.values()]


def test_targets_of_a_set_may_be_templates_and_have_references(project: WriteFiles) -> None:
    text = f"""{HEAD}kind: TargetSet
metadata: {{repo: coding, name: "t${{{{ matrix.n }}}}"}}
matrix: {{include: [{{n: 1, of: default}}, {{n: 2, of: t1}}, {{n: 3, of: t2}}]}}
template:
  spec:
    template: ${{{{ matrix.of }}}}
    teacher_prompt: p
    generators: [{{type: hardcoded, questions: ["Why?"]}}]
"""
    desired = load(project({"a.yaml": text})).desired
    assert [target.template for target in desired.targets.values()] == ["default", "t1", "t2"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["b"]),
        ("./q//*.txt", ["a", "c"]),
        ("q/?.txt", ["a", "c"]),
        ("q/[ab]*", ["a"]),
        ("q/c.txt", ["c"]),
        ("**/*.txt", ["a", "b", "c", "d"]),
        ("q/**", ["a", "c", "d", "e"]),
        ("q/**/d.txt", ["d"]),
        ("*/deep/*", ["d", "e"]),
        ("**/**/[de].*", ["d", "e"]),
        (".hidden/*.txt", ["h"]),
        (".*/*", ["h"]),
        ("q/.*", [".dot"]),
        ("link/*.txt", ["a", "c"]),
        ("q/deep/../[a-c].txt", ["a", "c"]),
    ],
)
def test_files_are_found_as_shells_find_them(
    pattern: str, found: list[str], project: WriteFiles
) -> None:
    files = ["b.txt", "q/a.txt", "q/c.txt", "q/deep/d.txt", "q/deep/e.md", ".hidden/h.txt"]
    text = SET.replace("PATTERN", f'"{pattern}"').replace("[1, 0.5, true]", "[1]")
    contents: dict[str, str | bytes] = dict.fromkeys([*files, "q/.dot.txt"], "Why?\n")
    root = project(
        {"a.yaml": text.replace("${{ matrix.topic }}-", "t-${{ matrix.topic }}-"), **contents}
    )
    (root / "link").symlink_to("q")
    (root / "q/link.md").symlink_to("deep")
    assert sorted(names(load(root).desired)) == [f"t-{name}-1" for name in found]


def test_a_pattern_is_relative_to_its_manifest(project: WriteFiles) -> None:
    text = SET.replace("PATTERN", "../q/*.txt")
    desired = load(project({"sets/a.yaml": text, "q/a.txt": "Why?"})).desired
    assert sorted(names(desired)) == ["a-0.5", "a-1", "a-true"]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("secret/*", "leads out of the directory that holds the manifests"),
        ("../*/*.txt", "leads out of the directory that holds the manifests"),
        ("q/*.md", "finds q/link.md, which leads out of the directory that holds the manifests"),
        ("q/link.md", "finds q/link.md, which leads out of the directory that holds the manifests"),
        ("q/b*", "finds q/b\\udcff.txt, a name that is not UTF-8"),
        ("q/*/x", "finds no file"),
        ("q", "finds no file"),
        ("q/nothing.txt", "finds no file"),
        ("/q/*.txt", "must be relative to this manifest"),
    ],
)
def test_what_no_pattern_finds(pattern: str, why: str, project: WriteFiles) -> None:
    root = project({"a.yaml": SET.replace("PATTERN", pattern), "q/a.txt": "Why?"})
    (root.parent / "outside").mkdir()
    (root.parent / "outside/x.txt").write_text("secret")
    (root / "secret").symlink_to("../outside")
    (root / "q/link.md").symlink_to("../../outside/x.txt")
    (root / "q" / b"b\xff.txt".decode(errors="surrogateescape")).write_text("Why?")
    assert complaints(root)[0] == f'project/a.yaml:5:18: "{pattern}" {why}'


@pytest.mark.parametrize("together", [True, False])
def test_all_sets_together_are_bounded(together: bool, project: WriteFiles) -> None:
    """What is too much is told of the set that made it so, in one file or in several."""
    values = 2 * MOST_VALUES // 1000 // 3
    text = SET.replace("{files: PATTERN}", "[a]").replace("[1, 0.5, true]", str([*range(1000)]))
    spec = json.dumps({"extra_kwargs": {"list": [0] * values}})
    text = f"{text[: text.index('  spec:')]}  spec: {spec}\n  desired: {{stim: none}}\n"
    other = text.replace("matrix.topic }}", "matrix.topic }}b")
    files: dict[str, str | bytes] = {"a.yaml": text, "b.yaml": other}
    place = "b.yaml:7:1"
    if together:
        files, place = {"a.yaml": f"{text}---\n{other}"}, "a.yaml:18:1"
    message = "the targets of all sets would hold more than 5,000,000 values"
    assert complaints(project(files)) == [f"project/{place}: {message}"]


def test_what_a_broken_set_would_declare_is_not_missed(project: WriteFiles) -> None:
    text = SET.replace("{files: PATTERN}", "[a]").replace("[1, 0.5, true]", "[1, many, 2, more]")
    text = text.replace(
        '{type: hardcoded, questions_file: "${{matrix.topic.path}}"}',
        '{type: persona, numq: "${{ matrix.n }}"}',
    )
    follower = f"""{HEAD}kind: Target
metadata: {{repo: coding, name: follower}}
spec: {{template: a-many}}
"""
    assert complaints(project({"a.yaml": text, "b.yaml": follower})) == [
        (
            'project/a.yaml:12:31: spec.generators[0].numq must be an integer, not "many"'
            " [topic=a, n=many], and in 1 more cell"
        ),
    ]


def test_reading_a_set_changes_nothing_of_what_was_read(project: WriteFiles) -> None:
    """What is the same in all cells is shared between them, so that nobody may change it."""
    text = SET.replace("PATTERN", "q/*")
    desired = load(project({"a.yaml": text, "q/a.txt": "Why?"})).desired
    before = copy.deepcopy({id_: target.config for id_, target in desired.targets.items()})
    assert [str(target.lazy_digest) for target in desired.targets.values()]
    assert {id_: target.config for id_, target in desired.targets.items()} == before
