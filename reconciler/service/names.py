"""What a repository, prompt or target may be called. Pure."""

from __future__ import annotations

from reconciler.service.problems import Fault, invalid

MAX_LENGTH = 255
RESERVED = "batch"


def name_fault(name: str, *, beside_batch: bool = False) -> str | None:
    """Return what is wrong with a name as a sentence, or None.

    ``beside_batch``: prompts and targets share their path with ``…/batch``, so one of that name
    could never be addressed.
    """
    if "/" in name:
        return "Name contains invalid character: '/'"
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in name):
        return "Name contains a control character"
    if name in {".", ".."} or (beside_batch and name == RESERVED):
        return f"Name is reserved: '{name}'"
    if not 1 <= len(name) <= MAX_LENGTH:
        return f"Name should have 1 to {MAX_LENGTH} characters"
    return None


def check_name(name: str, *loc: str, beside_batch: bool = False) -> None:
    """Raise a 422 at ``loc`` when a resource may not have this name."""
    fault = name_fault(name, beside_batch=beside_batch)
    if fault is not None:
        raise invalid([Fault(loc, fault, "value_error")])
