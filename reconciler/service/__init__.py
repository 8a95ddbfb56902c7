"""The local stim & rollout service: the API of the Bread platform, on this machine.

Promises to speak the API's wire format to every client of it and to keep all state in one data
directory. Never imports anything from the rest of the project, never prints, and costs next to
nothing to import: the web stack is loaded when a service is started.
"""

from __future__ import annotations

from reconciler.service.server import embedded, serve
from reconciler.service.settings import Running, ServiceError, Settings, is_loopback

__all__ = ["Running", "ServiceError", "Settings", "embedded", "is_loopback", "serve"]
