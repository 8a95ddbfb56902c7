"""Problems in SARIF 2.1.0, the format that code scanning services read.

File names become relative URIs as long as they are relative. What is reported again in the next run
has the same fingerprint, also when lines were added above it. Never prints.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from reconciler.core.model.manifest import Severity
from reconciler.render.style import safe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model.manifest import Diagnostic

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_RULES = {Severity.ERROR: "manifest-error", Severity.WARNING: "manifest-warning"}
_DESCRIPTIONS = {
    Severity.ERROR: "Something that keeps the manifests from being applied.",
    Severity.WARNING: "Something about the manifests that deserves a look.",
}
_HELP = "`reconciler validate` shows every problem with its place; docs/manifests.md every field."
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def log(diagnostics: Iterable[Diagnostic], *, version: str) -> dict[str, Any]:
    """Return a SARIF log of one run; ``version`` is that of the reconciler."""
    seen: Counter[str] = Counter()
    driver = {
        "name": "reconciler",
        "semanticVersion": version,
        "rules": [_rule(severity) for severity in _RULES],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "reconciler/validate/"},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found, seen) for found in diagnostics],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(severity: Severity) -> dict[str, Any]:
    return {
        "id": _RULES[severity],
        "shortDescription": {"text": _DESCRIPTIONS[severity]},
        "fullDescription": {"text": _DESCRIPTIONS[severity]},
        "help": {"text": _HELP},
        "defaultConfiguration": {"level": str(severity)},
    }


def _result(found: Diagnostic, seen: Counter[str]) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": _uri(found.file)},
        "region": {"startLine": found.line, "startColumn": found.column},
    }
    return {
        "ruleId": _RULES[found.severity],
        "level": str(found.severity),
        "message": {"text": safe(found.message)},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(found, seen)},
    }


def _fingerprint(found: Diagnostic, seen: Counter[str]) -> str:
    """Return what tells a problem from others; equal ones in a file are numbered."""
    told = f"{found.file}\n{safe(found.message)}".encode(errors="surrogateescape")
    digest = hashlib.sha256(told).hexdigest()[:16]
    seen[digest] += 1
    return f"{digest}:{seen[digest]}"


def _uri(file: str) -> str:
    octets = file.encode(errors="surrogateescape")
    path = "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in octets)
    return f"file://{path}" if path.startswith("/") else path
