"""Certificates of signers: issued by whom, when, and shown to which transparency logs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.certificate_transparency import SignedCertificateTimestamp
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from croze.sigstore import keys
from croze.sigstore.errors import NotVerified
from croze.sigstore.trust import IssuingAuthority, Log, is_authority

_MOST_LONG = 8
_MOST_SCTS = 32
_UNDERSTOOD = {
    ExtensionOID.KEY_USAGE,
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.CERTIFICATE_POLICIES,
}
"""Extensions that may be critical. Constraints on names may not: nobody checks them here."""


def valid_at(certificate: x509.Certificate, moment: datetime) -> bool:
    return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc


def chain(
    leaf: x509.Certificate, authorities: Sequence[IssuingAuthority], moment: datetime
) -> list[x509.Certificate]:
    """The certificates from `leaf` to a root that was trusted at that time, all valid then (RFC
    5280 section 6). Raises `NotVerified`."""
    for authority in authorities:
        if not authority.period.holds(moment):
            continue
        path = _path([leaf], authority, moment)
        if path is not None:
            return path
    raise NotVerified("leaf certificate verification failed: no trusted authority issued it")


def _path(
    begun: list[x509.Certificate], authority: IssuingAuthority, moment: datetime
) -> list[x509.Certificate] | None:
    last = begun[-1]
    if len(begun) > _MOST_LONG or not _usable(last, moment):
        return None
    for candidate in (authority.root, *authority.intermediates):
        if candidate in begun or not _issued(last, candidate, len(begun) - 1):
            continue
        if candidate == authority.root:
            return [*begun, candidate] if _usable(candidate, moment) else None
        path = _path([*begun, candidate], authority, moment)
        if path is not None:
            return path
    return None


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, below: int) -> bool:
    """Whether `issuer` issued a certificate, and might; `below`: how many issuers stand between the
    leaf and it."""
    if certificate.issuer != issuer.subject or not is_authority(issuer):
        return False
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        if constraints.path_length is not None and constraints.path_length < below:
            return False
        keys.key_of(issuer)
        certificate.verify_directly_issued_by(issuer)
    except (*keys.MALFORMED, InvalidSignature, NotVerified):
        return False
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.key_cert_sign


def _usable(certificate: x509.Certificate, moment: datetime) -> bool:
    """Valid at that time, for signing code, with nothing critical that we don't understand."""
    if not valid_at(certificate, moment):
        return False
    extensions = certificate.extensions
    if any(each.critical and each.oid not in _UNDERSTOOD for each in extensions):
        return False
    try:
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    allowed = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return bool(allowed & set(usages))


# -- certificate transparency --


def check_shown(shown: Sequence[x509.Certificate], logs: dict[bytes, Log]) -> None:
    """See that a certificate was shown to a log before it was issued (RFC 6962 section 3.2). Raises
    `NotVerified`."""
    leaf, issuer = shown[0], shown[1]
    if not any(_shown(leaf, issuer, sct, logs) for sct in _timestamps(leaf)):
        raise NotVerified(
            "failed to verify signed certificate timestamp: none is of a log that is trusted"
        )


def _timestamps(leaf: x509.Certificate) -> Iterable[SignedCertificateTimestamp]:
    try:
        extension = leaf.extensions.get_extension_for_class(
            x509.PrecertificateSignedCertificateTimestamps
        )
        return list(extension.value)[:_MOST_SCTS]
    except x509.ExtensionNotFound:
        return []


def _shown(
    leaf: x509.Certificate,
    issuer: x509.Certificate,
    sct: SignedCertificateTimestamp,
    logs: dict[bytes, Log],
) -> bool:
    try:
        log = logs.get(sct.log_id)
        moment = sct.timestamp.replace(tzinfo=UTC)
        if log is None or not log.period.holds(moment):
            return False
        if not isinstance(sct.signature_hash_algorithm, hashes.SHA256):
            return False
        data = _shown_data(leaf, issuer, moment, sct.extension_bytes)
    except keys.MALFORMED:
        return False
    if keys.hash_of(log.key) is hashes.SHA256:
        return keys.signed(log.key, sct.signature, data)
    return keys.signed_digest(log.key, sct.signature, hashlib.sha256(data).digest(), old=True)


def _shown_data(
    leaf: x509.Certificate, issuer: x509.Certificate, moment: datetime, extensions: bytes
) -> bytes:
    """What such a log signs: a precertificate, by its issuer's key."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    body = leaf.tbs_precertificate_bytes
    issuer_key = hashlib.sha256(keys.spki(keys.key_of(issuer))).digest()
    return b"".join(
        (
            b"\0\0",
            (since // timedelta(milliseconds=1)).to_bytes(8, "big"),
            (1).to_bytes(2, "big"),
            issuer_key,
            len(body).to_bytes(3, "big"),
            body,
            len(extensions).to_bytes(2, "big"),
            extensions,
        )
    )
