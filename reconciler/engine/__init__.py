"""Observing live state and carrying out plans: the effectful part, with every effect handed in.

Nothing here prints, parses manifests or decides: decisions come from the core.
"""
