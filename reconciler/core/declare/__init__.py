"""Documents → what is declared, and every problem across them."""

from reconciler.core.declare.build import build

__all__ = ["build"]
