"""(desired, observed, lock) → plan, by pure functions.

Nothing here acts, asks or remembers: the same three values give the same plan, in any order.
"""

from reconciler.core.planning.compute import compute_plan

__all__ = ["compute_plan"]
