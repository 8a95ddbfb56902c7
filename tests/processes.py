"""The environment of processes that tests start: in it they import the code that is tested here.

Under ``make test`` that is the installed wheel, and a process that imports the checkout instead, be
it only because it was started there, ends at once with an error; see ``watch/sitecustomize.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import reconciler

_WATCH = Path(__file__).with_name("watch")
#: Whether the installed wheel is tested, and not the checkout.
INSTALLED = os.environ.get("RECONCILER_TESTS") == "installed"
_PLACES = [*([_WATCH] if INSTALLED else []), Path(reconciler.__file__).parents[1]]
SAME_CODE = {"PYTHONPATH": os.pathsep.join(map(str, _PLACES)), "PYTHONSAFEPATH": "1"}
