"""Certificates that this process shows, with their keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import ssl


def show(context: ssl.SSLContext, certificate: Path | str, key: Path | str | None = None) -> None:
    """Show a certificate of a PEM file to peers; without `key` its key is in the same file. Raises
    `OSError`, for a key that wants a password, too: OpenSSL would ask the terminal for it, and wait
    there in the middle of whatever is being done."""
    context.load_cert_chain(certificate, key, password=_nobody_is_asked)


def _nobody_is_asked() -> NoReturn:
    raise OSError("the private key is encrypted")
