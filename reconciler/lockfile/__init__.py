"""The lockfile: its text, its file, and the run lock that guards it.

Writes are atomic: whoever reads the file sees a whole, valid one at any time.
"""

from reconciler.lockfile.runlock import Patience, hold, state_directory
from reconciler.lockfile.store import Store, replace_file
from reconciler.lockfile.text import ConflictMarkersError, parse, render

__all__ = [
    "ConflictMarkersError",
    "Patience",
    "Store",
    "hold",
    "parse",
    "render",
    "replace_file",
    "state_directory",
]
