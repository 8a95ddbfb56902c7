"""Addresses of APIs as texts: when two of them are the same one.

Never says whether an address is a good one; that is the client's matter.
"""

from __future__ import annotations

import re

#: Scheme and host; the name of a network interface in it (after a %) is a matter of its own.
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#%]+")


def normalised(url: str) -> str:
    """Return an address in its one form: scheme and host in lower case, no slash at the end.

    Any other text is returned as it is.
    """
    origin = _ORIGIN.match(url)
    if origin is None:
        return url
    return origin[0].lower() + url[origin.end() :].rstrip("/")
