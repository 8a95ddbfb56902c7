"""The simulated disk never loses power, so nothing waits for it."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def disk_without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
