from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.equality import canonical


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": 2}, '{"a":2,"b":1}'),
        (1.0, "1"),
        (-0.0, "0"),
        (0.5, "0.5"),
        ([1.0, {"x": 2.0}], '[1,{"x":2}]'),
        ((1, 2), "[1,2]"),
        (True, "true"),
        (None, "null"),
        ("é", '"\\u00e9"'),
        (10**16, "10000000000000000"),
        (1e16, "10000000000000000"),
    ],
)
def test_one_meaning_has_one_text(value: Any, text: str) -> None:
    assert canonical.dumps(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical.dumps(value)


def test_a_digest_never_changes_between_versions() -> None:
    known = "sha256:472062c478a18be888bd1b315e81c14b863e7efafa04bbbb6d690506489f1171"
    assert canonical.digest({"temperature": 0.7, "max_tokens": 100}) == known


def test_a_revision_is_named_after_the_first_eight_digits() -> None:
    assert canonical.revision_name("t", "sha256:0123456789abcdef") == "t-01234567"


def test_a_lazy_digest_is_made_once_and_is_the_same() -> None:
    asked: list[int] = []

    def content() -> Any:
        asked.append(1)
        return {"a": 1.0}

    lazy = canonical.Digest(content)
    assert not asked
    assert str(lazy) == str(lazy) == canonical.digest({"a": 1})
    assert lazy == canonical.Digest(lambda: {"a": 1}) != canonical.Digest(lambda: {"a": 2})
    assert len(asked) == 1
