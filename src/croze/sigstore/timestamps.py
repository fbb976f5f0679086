"""Timestamps by authorities (RFC 3161), by `rfc3161-client`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from croze.sigstore import keys
from croze.sigstore.bundle import MOST_TIMESTAMPS
from croze.sigstore.errors import NotVerified
from croze.sigstore.logs import Witness
from croze.sigstore.trust import IssuingAuthority

KIND = "TimestampAuthority"


def check_timestamps(
    stamps: Sequence[bytes], signature: bytes, authorities: Sequence[IssuingAuthority]
) -> tuple[list[Witness], list[str]]:
    """The timestamps that hold, one of each authority, and what is wrong with the others: a
    timestamp that does not hold counts as none.

    Raises `NotVerified` for too many.
    """
    if len(stamps) > MOST_TIMESTAMPS:
        raise NotVerified(f"too many signed timestamps: {len(stamps)} > {MOST_TIMESTAMPS}")
    witnesses: dict[str, Witness] = {}
    wrong: list[str] = []
    for data in stamps:
        try:
            witness = _of_any(data, signature, authorities)
        except NotVerified as error:
            wrong.append(str(error))
            continue
        witnesses.setdefault(witness.uri, witness)
    return list(witnesses.values()), wrong


def _of_any(data: bytes, signature: bytes, authorities: Sequence[IssuingAuthority]) -> Witness:
    reasons = []
    for authority in authorities:
        try:
            return _check(data, signature, authority)
        except NotVerified as error:
            reasons.append(str(error))
    why = "; ".join(reasons) or "no authority is trusted"
    raise NotVerified(f"unable to verify signed timestamp: {why}")


def _check(data: bytes, signature: bytes, authority: IssuingAuthority) -> Witness:
    import rfc3161_client as rfc3161

    verifier = rfc3161.VerifierBuilder(
        tsa_certificate=authority.leaf,
        intermediates=list(authority.intermediates),
        roots=[authority.root],
    ).build()
    try:
        response = rfc3161.decode_timestamp_response(data)
        verifier.verify_message(response, signature)
        moment = response.tst_info.gen_time.astimezone(UTC)
    except (rfc3161.VerificationError, *keys.MALFORMED) as error:
        raise NotVerified(str(error)) from None
    if not authority.period.holds(moment):
        raise NotVerified(f"timestamp is outside the validity of {authority.uri}")
    for certificate in (authority.leaf, *authority.intermediates):
        if certificate is not None:
            _for_timestamps(certificate)
    return Witness(KIND, authority.uri, moment)


def _for_timestamps(certificate: x509.Certificate) -> None:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    allowed = {ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if not allowed & set(usages):
        raise NotVerified("certificate does not allow timestamping")
