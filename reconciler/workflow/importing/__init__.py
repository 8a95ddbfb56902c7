"""Writing manifests for what exists already: live, or in a repository of bgit.

What cannot be declared, or would not be left alone by a plan, is left out and said so. No file is
ever written over, and nothing is changed but files below one directory.
"""

from reconciler.workflow.importing.repos import Wanted
from reconciler.workflow.importing.verbs import Imported, from_bgit, from_live

__all__ = ["Imported", "Wanted", "from_bgit", "from_live"]
