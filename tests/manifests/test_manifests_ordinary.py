"""Reading what is not out of the ordinary: quickly, and never with another meaning."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.test_manifests_laws import FRAGMENTS, KEYS, MANIFEST, VALUES, dump
from reconciler.core.errors import InvalidManifestsError
from reconciler.manifests import load, ordinary, reader

if TYPE_CHECKING:
    from typing import Any

    from manifests.conftest import WriteFiles

REPO = "apiVersion: reconciler/v1\nkind: Repo\nmetadata: {name: coding}\n"


def agrees(text: str) -> bool:
    """Tell whether a text counts as ordinary; if so, it must mean what the other reader says."""
    values = ordinary.read(text)
    if not values:
        return False
    found = reader.read(text)
    assert found.stopped is None
    assert not any(document.faults for document in found.documents)
    assert repr(values) == repr([document.value for document in found.documents])
    return True


def test_a_manifest_is_ordinary() -> None:
    assert ordinary.read(f"{MANIFEST}---\n{REPO}") == [
        *yaml.safe_load_all(MANIFEST),
        *yaml.safe_load_all(REPO),
    ]


@given(
    st.dictionaries(KEYS, VALUES, min_size=1, max_size=4),
    st.sampled_from([None, '"', "'", "|", ">"]),
    st.sampled_from([True, False, None]),
    st.integers(5, 80),
)
def test_every_mapping_means_the_same_in_every_style(
    value: dict[str, Any], style: str | None, flow: bool | None, width: int
) -> None:
    agrees(dump(value, style, flow, width))


@settings(max_examples=400)
@given(st.integers(0, len(MANIFEST)), st.integers(0, 12), FRAGMENTS)
def test_damage_never_goes_unseen(start: int, removed: int, added: str) -> None:
    agrees(MANIFEST[:start] + added[:8] + MANIFEST[start + removed :])


@settings(max_examples=400)
@given(FRAGMENTS)
def test_any_value_means_the_same(text: str) -> None:
    agrees(f"key: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "- a list",
        "a: &x 1\nb: *x",
        "a: {<<: {b: 1}}",
        "a: 1\na: 2",
        "a: 1\n'a': 2",
        "no: 1",
        "? {a: 1}\n: 2",
        "a: 2024-01-01",
        "a: 12:30",
        "a: .nan",
        "a: !!str 1",
        "a: !mine {}",
        "a: !!seq []",
        'a: "\\ud800"',
        '"\\ud800": a',
        "a: [1",
        "a: 1\n---\n- a list",
        "a: 1\n--- {b",
        f"a: {'[' * 100}{']' * 100}",
        f"a: {'x' * ordinary.LONGEST}",
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_other_reader(text: str) -> None:
    assert ordinary.read(text) == []


def test_as_deep_as_a_document_may_be_is_ordinary() -> None:
    assert agrees(f"a: {'[' * 99}{']' * 99}")


@pytest.mark.parametrize("dense", ["a: ,", "[],", "a,"])
def test_an_ordinary_text_is_too_short_to_hold_too_many_values(dense: str) -> None:
    count = ordinary.LONGEST // len(dense)
    assert reader.read(f"[{dense * count}]").stopped is None


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("text", [REPO, "kind: Reqo"])
def test_loading_leaves_the_garbage_collector_as_it_was(
    enabled: bool, text: str, project: WriteFiles
) -> None:
    root = project({"a.yaml": text})
    (gc.enable if enabled else gc.disable)()
    try:
        load(root)
    except InvalidManifestsError:
        assert text != REPO
    finally:
        after = gc.isenabled()
        gc.enable()
    assert after is enabled
