"""Whom to trust: the authorities that the environment names, or else the usual ones."""

from __future__ import annotations

import os
import ssl

from reconciler.core.errors import ReconcilerError


def tls_context() -> ssl.SSLContext:
    """Return a context for one session, since making it takes longer than most requests.

    Raises ReconcilerError for certificates that cannot be read.
    """
    file, directory = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not directory:
        import certifi

        file = certifi.where()
    try:
        return ssl.create_default_context(cafile=file or None, capath=directory or None)
    except OSError as error:
        raise ReconcilerError(
            f"the certificates of the environment cannot be used: {error.strerror or error}",
            hint="Check SSL_CERT_FILE and SSL_CERT_DIR.",
        ) from error
