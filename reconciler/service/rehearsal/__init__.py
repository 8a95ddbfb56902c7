"""Failure on demand, for tests and demos: `reconciler serve --rehearse FILE`.

A script (``script``, read by ``reading``) says what goes wrong; ``requests`` does it to the wire,
``jobs`` to what runs behind it. Nothing of this happens without a script.
"""
