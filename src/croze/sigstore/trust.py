"""Trusted roots: whose certificates, log entries and timestamps count, and when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from msgspec import Struct

from croze.api import sigstore_pb2 as pb
from croze.gotypes.moments import utc_moment
from croze.sigstore import keys
from croze.sigstore.errors import NotVerified
from croze.sigstore.keys import PublicKey
from croze.sigstore.reading import read

MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
_BARE_RSA = pb.PKCS1_RSA_PKCS1V5
_KEYS = frozenset(
    {
        pb.PKIX_ECDSA_P256_SHA_256,
        pb.PKIX_ECDSA_P384_SHA_384,
        pb.PKIX_ECDSA_P521_SHA_512,
        pb.PKIX_RSA_PKCS1V15_2048_SHA256,
        pb.PKIX_RSA_PKCS1V15_3072_SHA256,
        pb.PKIX_RSA_PKCS1V15_4096_SHA256,
        pb.PKIX_ED25519,
        _BARE_RSA,
    }
)


class Period(Struct, frozen=True):
    """A span of time, both ends included; None leaves an end open."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        after = self.start is None or moment >= self.start
        return after and (self.end is None or moment <= self.end)


class Log(Struct, frozen=True):
    """A transparency log."""

    url: str
    key: PublicKey
    period: Period


class IssuingAuthority(Struct, frozen=True):
    """Who issues certificates, of signers or for timestamps; `leaf` is of the latter alone."""

    uri: str
    root: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    period: Period
    leaf: x509.Certificate | None = None


class TrustedRoot(Struct, frozen=True):
    """All whose word counts: certificate and timestamp authorities, and logs by the ids of their
    keys."""

    logs: dict[bytes, Log]
    certificate_logs: dict[bytes, Log]
    authorities: tuple[IssuingAuthority, ...]
    timestamps: tuple[IssuingAuthority, ...]


def parse(data: bytes) -> TrustedRoot:
    """A `trusted_root.json`. Raises `NotVerified`."""
    message = read(data, pb.TrustedRoot(), "trusted root")
    if message.media_type != MEDIA_TYPE:
        raise NotVerified(f"unsupported TrustedRoot media type: {message.media_type}")
    return TrustedRoot(
        logs=_logs(message.tlogs),
        certificate_logs=_logs(message.ctlogs),
        authorities=tuple(_authority(each) for each in message.certificate_authorities),
        timestamps=tuple(_timestamping(each) for each in message.timestamp_authorities),
    )


def _logs(instances: Iterable[pb.TransparencyLogInstance]) -> dict[bytes, Log]:
    return {each.log_id.key_id: _log(each) for each in instances}


def _log(message: pb.TransparencyLogInstance) -> Log:
    if message.hash_algorithm != pb.SHA2_256:
        raise NotVerified("unsupported tlog hash algorithm")
    if not message.log_id.key_id:
        raise NotVerified("tlog missing log ID")
    if not message.public_key.raw_bytes:
        raise NotVerified("tlog missing public key")
    if not message.public_key.valid_for.HasField("start"):
        raise NotVerified("tlog missing public key validity period start time")
    details = message.public_key.key_details
    if details not in _KEYS:
        raise NotVerified(f"unsupported tlog public key type: {details}")
    load = keys.of_pkcs1 if details == _BARE_RSA else keys.of_der
    key = load(message.public_key.raw_bytes)
    return Log(message.base_url, key, _period(message.public_key.valid_for))


def _period(message: pb.TimeRange) -> Period:
    def moment(name: str) -> datetime | None:
        if not message.HasField("start" if name == "start" else "end"):
            return None
        value = message.start if name == "start" else message.end
        return utc_moment(value.seconds, value.nanos)

    return Period(moment("start"), moment("end"))


def _chain(message: pb.CertificateAuthority) -> list[x509.Certificate]:
    chain = [keys.certificate(each.raw_bytes) for each in message.cert_chain.certificates]
    if not chain:
        raise NotVerified("CertificateAuthority cert chain is empty")
    return chain


def _authority(message: pb.CertificateAuthority) -> IssuingAuthority:
    *intermediates, root = _chain(message)
    return IssuingAuthority(message.uri, root, tuple(intermediates), _period(message.valid_for))


def _timestamping(message: pb.CertificateAuthority) -> IssuingAuthority:
    chain = _chain(message)
    leaf = None if is_authority(chain[0]) else chain.pop(0)
    if not chain:
        raise NotVerified(f"timestamping authority {message.uri} root certificate is missing")
    *intermediates, root = chain
    return IssuingAuthority(
        message.uri, root, tuple(intermediates), _period(message.valid_for), leaf
    )


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate may issue others."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return constraints.value.ca
