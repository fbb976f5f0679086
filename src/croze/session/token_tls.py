"""How a client speaks TLS with the servers that give tokens, where the machine's own way won't do.

Source: BuildKit's `session/auth/authprovider` and buildctl's `--registry-auth-tlscontext`. It takes
a file that can't be read for none; here that is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.http import keypairs

if TYPE_CHECKING:
    import ssl


class TokenTls(Struct, frozen=True):
    """How to speak TLS with the server that gives one registry's tokens."""

    authorities: tuple[str, ...] = ()
    """Files of certificates to be trusted besides the machine's."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Files of a certificate to be shown, and of its key."""
    insecure: bool = False
    """Whether any certificate will do."""

    def context(self) -> ssl.SSLContext:
        """TLS settings with the files read. Raises `InvalidRequest` with the name of one that isn't
        as it must be."""
        import ssl

        context = ssl.create_default_context()
        for path in self.authorities:
            try:
                context.load_verify_locations(cafile=path)
            except OSError as error:
                raise InvalidRequest(f"failed to read {path}: {_reason(error)}") from None
        for certificate, key in self.pairs:
            try:
                keypairs.show(context, certificate, key)
            except OSError as error:
                message = f"failed to load keypair for {certificate}: {_reason(error)}"
                raise InvalidRequest(message) from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _reason(error: OSError) -> str:
    """OpenSSL's own, of bytes that are no PEM, or the system's."""
    return str(getattr(error, "reason", None) or error.strerror or error)
