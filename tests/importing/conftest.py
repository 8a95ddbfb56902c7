"""The service and the project of the command line's tests."""

from __future__ import annotations

from cli.conftest import clean_environment, project, running

__all__ = ["clean_environment", "project", "running"]
