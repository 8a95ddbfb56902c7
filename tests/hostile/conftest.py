"""Nothing of the surroundings counts, and an error that nobody foresaw fails the test it is in."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
from simulation.figures import Figures
from simulation.reporting import PROPERTY

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

KEY = "the-secret-key-of-this-test"
_SURROUNDINGS = (
    "BREAD_BASE_URL", "BREAD_MASTER_KEY", "NO_COLOR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
    "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def surroundings() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for name in _SURROUNDINGS:
            patch.delenv(name, raising=False)
        patch.setenv("BREAD_API_KEY", KEY)
        patch.setenv("RECONCILER_DEBUG", "1")
        yield patch


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None, None, None]:
    """Count the inputs that a fuzzing test has really judged, explicit examples included."""
    handle = getattr(item.obj, "hypothesis", None)
    if handle is None:
        return (yield)
    figures, judge = Figures(), handle.inner_test

    @functools.wraps(judge)
    def counted(*args: Any, **more: Any) -> None:
        judge(*args, **more)
        figures.count("inputs fuzzed")

    handle.inner_test = counted
    try:
        return (yield)
    finally:
        handle.inner_test = judge
        item.user_properties.append((PROPERTY, figures.taken()))
