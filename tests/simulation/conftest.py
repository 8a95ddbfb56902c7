"""Figures travel from the tests, in whichever process they ran, to the end of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .figures import FIGURES
from .reporting import PROPERTY

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def figures_are_handed_over(request: pytest.FixtureRequest) -> Iterator[None]:
    FIGURES.taken()
    yield
    request.node.user_properties.append((PROPERTY, FIGURES.taken()))
