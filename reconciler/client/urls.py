"""Base URLs: which ones may be given a key."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from reconciler.core.errors import UsageError
from reconciler.core.urls import normalised

#: The most characters between two dots of a host name.
_LONGEST_LABEL = 63


def checked_base_url(url: str, *, allow_http: bool = False) -> str:
    """Return a base URL without a trailing slash; raises UsageError for one unfit for a key.

    Addresses of one API become the same.
    Plain http is refused for anything but a loopback address, because the key would travel in the
    clear.
    """
    parts = split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f'"{url}" is no http(s) URL', hint="Write it like https://host[:port].")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError("the API URL may hold no credentials, query or fragment")
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        raise UsageError(
            f"{url} is plain http: the key would travel in the clear",
            hint="Use https, or --allow-http if you are sure of the network.",
        )
    return normalised(url)


def split(url: str) -> SplitResult | None:
    """Return the parts of a URL that requests can be sent to, None where it makes no sense."""
    try:
        parts = urlsplit(url)
        sane = url.isascii() and url.isprintable() and " " not in url and parts.port != 0
    except ValueError:  # brackets or a port
        return None
    return parts if sane and _can_be_looked_up(parts.hostname or "") else None


def _can_be_looked_up(host: str) -> bool:
    """Tell whether the dots of a host name are where they may be; asking for others is an error."""
    labels = host.removesuffix(".").split(".")
    return all(0 < len(label) <= _LONGEST_LABEL for label in labels)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
