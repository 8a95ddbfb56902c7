from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400), ("1h1m1s", 3661), ("0.5s", 0.5)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "0s", "0h0m", "90", "s", "-5s", "1m1h", "1 h", "2d", "1h30", "h", ".5s", "5S", "2h\n"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        durations.parse(text)


def test_what_nobody_lives_to_see_can_be_waited_for_and_told() -> None:
    endless = durations.parse("9" * 400 + "h")
    assert durations.parse("1h") < endless
    assert durations.text(endless).endswith("h00m")


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_parts_add_up(hours: int, minutes: int, seconds: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds
    text = f"{hours}h{minutes}m{seconds}s"
    if total:
        assert durations.parse(text) == total
    else:
        with pytest.raises(ValueError, match="longer than nothing"):
            durations.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.42, "0.4s"),
        (3.0, "3s"),
        (12, "12s"),
        (59.2, "59s"),
        (185, "3m05s"),
        (3600, "1h00m"),
        (7261, "2h01m"),
    ],
)
def test_durations_are_told_shortly(seconds: float, text: str) -> None:
    assert durations.text(seconds) == text
