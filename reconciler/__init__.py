"""Declarative stim and rollout targets for the Bread platform."""

__version__ = "0.1.0"
