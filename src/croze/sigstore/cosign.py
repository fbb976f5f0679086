"""Signatures in cosign's older form: annotations of a layer that is what was signed.

Format: sigstore/cosign `specs/SIGNATURE_SPEC.md`; the two shapes of log entries: policy-helpers.
"""

from __future__ import annotations

import base64
import binascii

from msgspec import Struct

from croze.api import sigstore_pb2 as pb
from croze.image.descriptor import Descriptor
from croze.sigstore import keys
from croze.sigstore.bundle import Message, Signed
from croze.sigstore.errors import NotVerified
from croze.sigstore.reading import read_table

LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"
_TYPE = "cosign container image signature"
_SIGNATURE = "dev.cosignproject.cosign/signature"
_CERTIFICATE = "dev.sigstore.cosign/certificate"
_BUNDLE = "dev.sigstore.cosign/bundle"
_MOST_NUMBER = 1 << 62


class Payload(Struct, frozen=True):
    """What is signed: that an image with this digest is what `reference` says."""

    digest: str
    reference: str


def payload(data: bytes) -> Payload:
    """Read what was signed. Raises `NotVerified`."""
    critical = _table(read_table(data, "simple signing payload").get("critical"))
    if critical.get("type") != _TYPE:
        raise NotVerified(f"simple signing payload has invalid type {critical.get('type')!r}")
    digest = _table(critical.get("image")).get("docker-manifest-digest")
    reference = _table(critical.get("identity")).get("docker-reference")
    if not isinstance(digest, str):
        raise NotVerified("simple signing payload names no digest")
    return Payload(digest, reference if isinstance(reference, str) else "")


def is_logged(layer: Descriptor) -> bool:
    return _BUNDLE in layer.annotations


def signed(layer: Descriptor, *, by_certificate: bool) -> Signed:
    """The signature that a layer's annotations hold; `by_certificate`: with the certificate of
    whoever made it, which must be there. Raises `NotVerified`."""
    notes = layer.annotations
    if _SIGNATURE not in notes:
        raise NotVerified("no signature annotation found")
    certificate = None
    if by_certificate:
        block = keys.pem_block(notes.get(_CERTIFICATE, "").encode())
        if not block:
            raise NotVerified("no PEM certificate found in annotation")
        certificate = keys.certificate(block)
    algorithm, _, value = layer.digest.partition(":")
    message = Message(algorithm, bytes.fromhex(value), _decoded(notes[_SIGNATURE]))
    entry = _entry(notes.get(_BUNDLE, ""))
    return Signed(message, certificate, (entry,) if entry is not None else (), ())


def _entry(text: str) -> pb.TransparencyLogEntry | None:
    if not text:
        return None
    table = read_table(text.encode(), "rekor bundle")
    newer = _table(_table(table.get("content")).get("verificationMaterial")).get("tlogEntries")
    if isinstance(newer, list) and newer:
        first = _table(newer[0])
        body = _bytes(first.get("canonicalizedBody"))
        promise = _bytes(_table(first.get("inclusionPromise")).get("signedEntryTimestamp"))
        if body and promise:
            log = _table(first.get("logId")).get("keyId")
            return _made(body, promise, log, first.get("integratedTime"), first.get("logIndex"))
    inner = _table(table.get("Payload"))
    return _made(
        _bytes(inner.get("body")),
        _bytes(table.get("SignedEntryTimestamp")),
        table.get("logID") or inner.get("logID"),
        table.get("integratedTime") or inner.get("integratedTime"),
        table.get("logIndex") or inner.get("logIndex"),
    )


def _made(
    body: bytes, promise: bytes, log: object, moment: object, index: object
) -> pb.TransparencyLogEntry:
    try:
        key = bytes.fromhex(log) if isinstance(log, str) else b""
    except ValueError:
        raise NotVerified("rekor bundle: logID is no hexadecimal number") from None
    return pb.TransparencyLogEntry(
        log_index=_number(index),
        log_id=pb.LogId(key_id=key),
        integrated_time=_number(moment),
        canonicalized_body=body,
        inclusion_promise=pb.InclusionPromise(signed_entry_timestamp=promise),
    )


def _number(value: object) -> int:
    """What a number, or a text of one, stands for; 0 for what is none."""
    try:
        number = int(value) if isinstance(value, str | int) and len(str(value)) < 20 else 0
    except ValueError:
        return 0
    return number if 0 <= number < _MOST_NUMBER else 0


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _bytes(value: object) -> bytes:
    return _decoded(value) if isinstance(value, str) else b""


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotVerified(f"signature can't be read: {error}") from None
