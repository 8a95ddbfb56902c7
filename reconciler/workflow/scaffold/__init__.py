"""``init``: a working project where there was none, beside whatever is there already.

Asks nothing, overwrites nothing, and does nothing at all the second time.
"""

from reconciler.workflow.scaffold.verb import Ci, Scaffolded, scaffold

__all__ = ["Ci", "Scaffolded", "scaffold"]
