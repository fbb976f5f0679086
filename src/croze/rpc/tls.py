"""TLS as a daemon's clients have it."""

from __future__ import annotations

import ssl
from pathlib import Path

from msgspec import Struct

from croze.errors import InvalidRequest, os_message
from croze.http import keypairs


class Tls(Struct, frozen=True):
    """Files in PEM form; with no `ca` the system's certificates count."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str = ""


class Secure(Struct, frozen=True):
    """`Tls` when its files have been read. Without a `server_name` the certificate has to be for
    the host that is dialled."""

    context: ssl.SSLContext
    server_name: str = ""


def secure(tls: Tls) -> Secure:
    """Read the files. Raises `InvalidRequest` for certificates that can't be read."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except OSError as error:
        why = os_message(error)
        raise InvalidRequest(f"could not read ca certificate {tls.ca}: {why}") from None
    try:
        if tls.cert is not None:
            keypairs.show(context, tls.cert, tls.key)
    except OSError as error:
        message = f"could not read certificate/key {tls.cert}, {tls.key}: {os_message(error)}"
        raise InvalidRequest(message) from None
    # As Go: users' own authorities often lack what Python alone wants, since 3.13.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2"])
    return Secure(context, tls.server_name)
