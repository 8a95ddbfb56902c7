"""Imported by Python when it starts: lets no process import the reconciler of the checkout.

Only where this directory is on the path, which ``processes.py`` sees to. Never imports it itself.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_CHECKOUT = Path(__file__).parents[2] / "reconciler" / "__init__.py"
STRAYED = 86


class _Watch:
    """Finds nothing, but sees what will be found."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        found: ModuleSpec | None = None
        if name == "reconciler":
            found = PathFinder.find_spec(name, path, target)
        if found and found.origin and Path(found.origin).resolve() == _CHECKOUT:
            os.write(2, b"a process of the tests imports the checkout, not what is installed\n")
            os._exit(STRAYED)


sys.meta_path.insert(0, _Watch)
