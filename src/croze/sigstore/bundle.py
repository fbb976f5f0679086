"""Sigstore bundles (v0.1 to v0.3), as what they say: `Signed`.

Format: sigstore/protobuf-specs `protos/sigstore_bundle.proto`; what must be there: sigstore-go.
"""

from __future__ import annotations

import re

from cryptography import x509
from msgspec import Struct

from croze.api import sigstore_pb2 as pb
from croze.sigstore import keys
from croze.sigstore.errors import NotVerified
from croze.sigstore.reading import read

MOST_ENTRIES = MOST_TIMESTAMPS = 32
_VERSION = re.compile(
    r"application/vnd\.dev\.sigstore\.bundle"
    r"(?:\+json;version=0\.([123])|\.v0\.([123])(?:\.[0-9]+)?\+json)"
)
_HASHES = {pb.SHA2_256: "sha256", pb.SHA2_384: "sha384", pb.SHA2_512: "sha512"}


class Envelope(Struct, frozen=True):
    """A DSSE envelope, in which the statement that is signed goes along."""

    payload: bytes
    payload_type: str
    signatures: tuple[bytes, ...]
    key_id: str = ""

    @property
    def signature(self) -> bytes:
        """The first signature; empty if there is none."""
        return self.signatures[0] if self.signatures else b""

    @property
    def encoded(self) -> bytes:
        """The bytes that an envelope's signature is over
        (https://github.com/secure-systems-lab/dsse)."""
        kind = self.payload_type.encode()
        head = f"DSSEv1 {len(kind)} ".encode() + kind
        return head + f" {len(self.payload)} ".encode() + self.payload


class Message(Struct, frozen=True):
    """A signature of something that is elsewhere, by its digest."""

    algorithm: str
    digest: bytes
    signature: bytes


class Signed(Struct, frozen=True):
    """A signature, whose it is (by certificate, or by a key that the verifier knows), and its
    witnesses."""

    content: Envelope | Message
    certificate: x509.Certificate | None
    entries: tuple[pb.TransparencyLogEntry, ...]
    timestamps: tuple[bytes, ...]


def parse(data: bytes) -> Signed:
    """A bundle in JSON. Raises `NotVerified`."""
    message = read(data, pb.Bundle(), "bundle")
    matched = _VERSION.fullmatch(message.media_type)
    if matched is None:
        raise NotVerified(f"unsupported bundle media type: {message.media_type!r}")
    version = int(matched[1] or matched[2])
    material = message.verification_material
    signed = Signed(
        _content(message),
        _certificate(material, version),
        tuple(material.tlog_entries),
        tuple(
            each.signed_timestamp
            for each in material.timestamp_verification_data.rfc3161_timestamps
        ),
    )
    _check_entries(signed, version)
    return signed


def _check_entries(signed: Signed, version: int) -> None:
    if len(signed.entries) > MOST_ENTRIES:
        raise NotVerified(f"too many tlog entries: {len(signed.entries)} > {MOST_ENTRIES}")
    if not signed.entries:
        return
    for entry in signed.entries:
        named = entry.log_id.key_id and entry.HasField("kind_version") and entry.canonicalized_body
        if not named or entry.log_index < 0:
            raise NotVerified("nil value in transaction log entry")
        if entry.HasField("inclusion_proof") and not entry.inclusion_proof.checkpoint.envelope:
            raise NotVerified("inclusion proof missing required checkpoint")
    if version == 1:
        if not any(has_promise(each) for each in signed.entries):
            raise NotVerified("inclusion promises missing in bundle (required for bundle v0.1)")
    elif not any(each.HasField("inclusion_proof") for each in signed.entries):
        raise NotVerified("inclusion proof missing in bundle (required for bundle v0.2)")


def has_promise(entry: pb.TransparencyLogEntry) -> bool:
    return bool(entry.inclusion_promise.signed_entry_timestamp)


def _content(bundle: pb.Bundle) -> Envelope | Message:
    match bundle.WhichOneof("content"):
        case "dsse_envelope":
            envelope = bundle.dsse_envelope
            signatures = tuple(each.sig for each in envelope.signatures)
            key_id = envelope.signatures[0].keyid if envelope.signatures else ""
            return Envelope(envelope.payload, envelope.payloadType, signatures, key_id)
        case "message_signature":
            message = bundle.message_signature
            algorithm = _HASHES.get(message.message_digest.algorithm, "")
            return Message(algorithm, message.message_digest.digest, message.signature)
    raise NotVerified("missing bundle content")


def _certificate(material: pb.VerificationMaterial, version: int) -> x509.Certificate | None:
    match material.WhichOneof("content"):
        case "certificate":
            return keys.certificate(material.certificate.raw_bytes)
        case "x509_certificate_chain":
            if version == 3:
                raise NotVerified(
                    "verification material cannot be X.509 certificate chain (for bundle v0.3)"
                )
            chain = material.x509_certificate_chain.certificates
            if not chain:
                raise NotVerified("missing verification material")
            return keys.certificate(chain[0].raw_bytes)
        case "public_key":
            return None
    raise NotVerified("missing verification material")
