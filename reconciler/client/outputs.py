"""The answer to a request for output → a page of the model.

As with all answers, more keys, missing keys and nulls are fine; without a list of records there is
no page, and ValueError is raised. What the records hold is not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.client.parse import count
from reconciler.core.model.outputs import OutputPage

if TYPE_CHECKING:
    from collections.abc import Mapping


def page(body: Mapping[str, Any]) -> OutputPage:
    """Read a page."""
    records, status, more = body.get("output"), body.get("status"), body.get("has_more")
    if not isinstance(records, list):
        raise ValueError("the answer holds no list of output")
    return OutputPage(
        records=records,
        status=status if isinstance(status, str) else None,
        lines=count(body.get("lines")),
        offset=count(body.get("offset")),
        has_more=more if isinstance(more, bool) else None,
        job=count(body.get("job_id")),
    )
