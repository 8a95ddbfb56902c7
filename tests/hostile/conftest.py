"""Nothing of the surroundings counts, and an error that nobody foresaw fails the test it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

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
