"""Figures travel from the tests, in whichever process they ran, to the end of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .figures import FIGURES
from .reporting import PROPERTY, pytest_terminal_summary

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pytest_terminal_summary"]


@pytest.fixture(autouse=True)
def figures_are_handed_over(request: pytest.FixtureRequest) -> Iterator[None]:
    FIGURES.taken()
    yield
    request.node.user_properties.append((PROPERTY, FIGURES.taken()))
