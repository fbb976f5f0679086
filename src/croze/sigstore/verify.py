"""Verification of one signature: witnesses, whose it is, and that it is of this thing.

What is wanted is what BuildKit asks sigstore-go for: one log entry, one time from a log or an
authority, and of a certificate that it was shown to a log before.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from croze.api import sigstore_pb2 as pb
from croze.sigstore import certificates, identity, keys, logs, timestamps
from croze.sigstore.bundle import Envelope, Message, Signed
from croze.sigstore.errors import NotVerified
from croze.sigstore.keys import PublicKey
from croze.sigstore.logs import Witness
from croze.sigstore.reading import fill, read_table
from croze.sigstore.trust import TrustedRoot

STATEMENT = "application/vnd.in-toto+json"
_MOST_SUBJECTS, _MOST_DIGESTS = 1024, 32


class VerifiedSignature(Struct, frozen=True):
    """A signature that was checked. `signer` by the fields of `identity.signer`; `predicate_type`
    of a statement."""

    signer: dict[str, str]
    witnesses: tuple[Witness, ...]
    predicate_type: str = ""


def verify(signed: Signed, digest: str, trust: TrustedRoot) -> VerifiedSignature:
    """See that somebody with a certificate signed what has this digest (`sha256:...`); who it was.
    Raises `NotVerified`."""
    certificate = signed.certificate
    if certificate is None:
        raise NotVerified("no certificate: signatures by keys prove no identity")
    key = keys.key_of(certificate)
    witnesses = _witnesses(signed, key, trust)
    signer = identity.signer(certificate)
    for witness in witnesses:
        chain = certificates.chain(certificate, trust.authorities, witness.moment)
        certificates.check_shown(chain, trust.certificate_logs)
    return VerifiedSignature(signer, tuple(witnesses), check_signature(signed, key, digest))


def verify_by_key(
    signed: Signed, digest: str, trust: TrustedRoot, key: PublicKey, *, witnessed: bool
) -> VerifiedSignature:
    """See that the owner of a known key signed what has this digest. Raises `NotVerified`."""
    witnesses = _witnesses(signed, key, trust) if witnessed else []
    return VerifiedSignature({}, tuple(witnesses), check_signature(signed, key, digest))


def _witnesses(signed: Signed, key: PublicKey, trust: TrustedRoot) -> list[Witness]:
    witnesses = logs.check_entries(signed, key, trust.logs)
    timed, wrong = timestamps.check_timestamps(
        signed.timestamps, signed.content.signature, trust.timestamps
    )
    if not witnesses and not timed:
        why = f": {'; '.join(wrong)}" if wrong else ""
        raise NotVerified(f"no verified time of the signature, by a log or an authority{why}")
    return [*witnesses, *timed]


def check_signature(signed: Signed, key: PublicKey, digest: str) -> str:
    """See that `key` made the signature over this digest; the type of the statement's predicate, if
    there is one. Raises `NotVerified`."""
    algorithm, _, value = digest.partition(":")
    try:
        expected = bytes.fromhex(value)
    except ValueError:
        raise NotVerified(f"invalid digest {digest!r}") from None
    match signed.content:
        case Message() as message:
            if message.digest != expected or message.algorithm != algorithm:
                raise NotVerified("artifact does not match digest")
            if not keys.signed_digest(key, message.signature, expected, old=True):
                raise NotVerified("could not verify message: invalid signature")
            return ""
        case Envelope() as envelope:
            return _check_envelope(envelope, key, algorithm, expected)


def _check_envelope(envelope: Envelope, key: PublicKey, algorithm: str, expected: bytes) -> str:
    if len(envelope.signatures) != 1:
        raise NotVerified("exactly one signature is required")
    if envelope.key_id and envelope.key_id != keys.fingerprint(key):
        raise NotVerified("could not verify envelope: signed by another key")
    if not keys.signed(key, envelope.signature, envelope.encoded, old=True):
        raise NotVerified("could not verify envelope: invalid signature")
    if envelope.payload_type != STATEMENT:
        raise NotVerified(f"unsupported envelope payload type {envelope.payload_type!r}")
    statement = _statement(envelope.payload)
    if expected not in _digests(statement.subject, algorithm):
        raise NotVerified("provided artifact digest does not match any digest in statement")
    return statement.predicate_type


def _statement(payload: bytes) -> pb.Statement:
    """The statement without its predicate, which may be large, and is nothing to us."""
    statement = read_table(payload, "in-toto statement")
    if not isinstance(statement.pop("predicate", {}), dict):
        raise NotVerified("in-toto statement can't be read: its predicate is no object")
    subjects = statement.get("subject")
    if isinstance(subjects, list) and len(subjects) > _MOST_SUBJECTS:
        raise NotVerified(f"too many subjects: {len(subjects)} > {_MOST_SUBJECTS}")
    return fill(statement, pb.Statement(), "in-toto statement")


def _digests(subjects: Sequence[pb.ResourceDescriptor], algorithm: str) -> set[bytes]:
    digests = set()
    for subject in subjects:
        if len(subject.digest) > _MOST_DIGESTS:
            raise NotVerified(f"too many digests: {len(subject.digest)} > {_MOST_DIGESTS}")
        for name, value in subject.digest.items():
            try:
                if name == algorithm:
                    digests.add(bytes.fromhex(value))
            except ValueError:
                raise NotVerified("unable to decode subject digest") from None
    return digests
