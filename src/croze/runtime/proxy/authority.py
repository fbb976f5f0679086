"""Certificates for any host, by an authority that is new with each daemon."""

from __future__ import annotations

import ipaddress
import os
import ssl
import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from croze.http import keypairs

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder, KeyUsage, Name

NAME = "BuildKit exec proxy"
_KEPT = 1024
_BITS = 2048
_AUTHORITY_LIFE = timedelta(days=3650)
_LIFE = timedelta(days=1)
_RENEWED_BEFORE = timedelta(hours=1)


class ProxyAuthority:
    """Thread-safe. Making one takes a moment."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding

        self._key = rsa.generate_private_key(65537, _BITS)
        self._leaf_key = rsa.generate_private_key(65537, _BITS)
        self._certificate = self._authority()
        self.pem = self._certificate.public_bytes(Encoding.PEM)
        """The authority's own certificate."""
        self._name = self._certificate.subject
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[datetime, ssl.SSLContext]] = OrderedDict()

    def context(self, host: str) -> ssl.SSLContext:
        """A context that answers TLS as this host."""
        now = datetime.now(UTC)
        with self._lock:
            until, ssl_context = self._known.pop(host, (now, None))
            if ssl_context is None or until <= now:
                ssl_context = self._made(host, now)
                until = now + _LIFE - _RENEWED_BEFORE
            self._known[host] = (until, ssl_context)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
            return ssl_context

    def _authority(self) -> Certificate:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        name, now = _name(NAME), datetime.now(UTC)
        usage = _usage(key_cert_sign=True)
        return (
            _builder(name, name, self._key, now, _AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
            .sign(self._key, hashes.SHA256())
        )

    def _made(self, host: str, now: datetime) -> ssl.SSLContext:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives import serialization as forms
        from cryptography.x509.oid import ExtendedKeyUsageOID

        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            alternative = x509.DNSName(host)
        certificate = (
            _builder(_name(host[:64]), self._name, self._leaf_key, now, _LIFE)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .add_extension(_usage(key_encipherment=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False
            )
            .sign(self._key, hashes.SHA256())
        )
        key = self._leaf_key.private_bytes(
            forms.Encoding.PEM, forms.PrivateFormat.TraditionalOpenSSL, forms.NoEncryption()
        )
        return _context(certificate.public_bytes(forms.Encoding.PEM) + key)


def _context(pem: bytes) -> ssl.SSLContext:
    """`ssl` reads files alone; this one is in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    fd = os.memfd_create("croze-certificate", os.MFD_CLOEXEC)
    try:
        os.write(fd, pem)
        keypairs.show(context, f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    return context


def _builder(
    subject: Name, issuer: Name, key: RSAPrivateKey, now: datetime, life: timedelta
) -> CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + life)
    )


def _name(text: str) -> Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, key_cert_sign: bool = False, key_encipherment: bool = False) -> KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
