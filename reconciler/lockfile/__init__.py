"""The lockfile: its text, its file, and the run lock that guards it.

Writes are atomic: whoever reads the file sees a whole, valid one at any time.
"""

from reconciler.lockfile.runlock import Patience, hold, state_directory
from reconciler.lockfile.store import Store, UnfitFileError, read_file, replace_file
from reconciler.lockfile.text import ConflictMarkersError, parse, render

__all__ = [
    "ConflictMarkersError",
    "Patience",
    "Store",
    "UnfitFileError",
    "hold",
    "parse",
    "read_file",
    "render",
    "replace_file",
    "state_directory",
]
