"""Entries of transparency logs: they are there, and they are of this signature.

Rekor's first version promises to include an entry (its time is signed with it) or proves it; the
second proves it, and says no time. Bodies: sigstore/rekor `pkg/types`, sigstore/rekor-tiles.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from msgspec import Struct

from croze.api import sigstore_pb2 as pb
from croze.http.urls import parse_url
from croze.sigstore import keys, merkle
from croze.sigstore.bundle import MOST_ENTRIES, Envelope, Message, Signed, has_promise
from croze.sigstore.certificates import valid_at
from croze.sigstore.errors import NotVerified
from croze.sigstore.keys import PublicKey
from croze.sigstore.reading import read_table
from croze.sigstore.trust import Log

_HASH_NAMES = {"sha256", "sha384", "sha512"}
_MOST_SECONDS = 1 << 40


class Witness(Struct, frozen=True):
    """Somebody who saw a signature at a time."""

    kind: str
    uri: str
    moment: datetime


class _Body(Struct, frozen=True):
    """What an entry says that it is of."""

    signature: bytes
    verifier: bytes
    """A certificate or a public key, in DER."""
    message: tuple[str, bytes] | None = None
    payload: bytes | None = None


def check_entries(signed: Signed, key: PublicKey, logs: dict[bytes, Log]) -> list[Witness]:
    """The times that logs signed for entries of this signature. At least one entry must be of a log
    that is trusted. Those of other logs say nothing; one that is of a trusted log and wrong is an
    error. Raises `NotVerified`."""
    if len(signed.entries) > MOST_ENTRIES:
        raise NotVerified(f"too many tlog entries: {len(signed.entries)} > {MOST_ENTRIES}")
    places = {(each.log_id.key_id, each.log_index) for each in signed.entries}
    if len(places) < len(signed.entries):
        raise NotVerified("duplicate tlog entries found")
    times: dict[bytes, Witness] = {}
    verified = False
    for entry in signed.entries:
        log = logs.get(entry.log_id.key_id)
        if log is None or not _check(entry, log, signed, key):
            continue
        verified = True
        if has_promise(entry):
            moment = integrated(entry)
            times.setdefault(entry.log_id.key_id, Witness("Tlog", log.url, moment))
    if not verified:
        raise NotVerified("not enough verified log entries from transparency log: 0 < 1")
    return list(times.values())


def integrated(entry: pb.TransparencyLogEntry) -> datetime:
    """The time at which the log took an entry in. Raises `NotVerified`."""
    if not 0 <= entry.integrated_time < _MOST_SECONDS:
        raise NotVerified("transparency log entry has no time that can be")
    try:
        return datetime.fromtimestamp(entry.integrated_time, UTC)
    except (ValueError, OverflowError, OSError):
        raise NotVerified("transparency log entry has no time that can be") from None


def _check(entry: pb.TransparencyLogEntry, log: Log, signed: Signed, key: PublicKey) -> bool:
    """False if it is not of that log after all."""
    body = read_table(entry.canonicalized_body, "entry of a transparency log")
    proven = entry.HasField("inclusion_proof")
    if _is_v2(body):
        if not proven:
            raise NotVerified("rekor v2 entries must have an inclusion proof")
        if has_promise(entry):
            return False  # nobody promises these
        _check_v2(entry, log, signed, key)
    else:
        if not proven and not has_promise(entry):
            raise NotVerified("entry must contain an inclusion proof and/or promise")
        signed_body = _body(body)
        if has_promise(entry) and not _promised(entry, log):
            return False
        if proven:
            _check_v1(entry, log)
        _compare(signed_body, signed, key)
    certificate = signed.certificate
    if entry.integrated_time and certificate and not valid_at(certificate, integrated(entry)):
        raise NotVerified("integrated time outside certificate validity")
    return True


def _promised(entry: pb.TransparencyLogEntry, log: Log) -> bool:
    """The log signed the entry and its time."""
    if not log.period.holds(integrated(entry)):
        return False
    payload = {
        "body": base64.b64encode(entry.canonicalized_body).decode(),
        "integratedTime": entry.integrated_time,
        "logID": entry.log_id.key_id.hex(),
        "logIndex": entry.log_index,
    }
    data = json.dumps(payload, separators=(",", ":"), sort_keys=True).encode()
    return keys.signed(log.key, entry.inclusion_promise.signed_entry_timestamp, data)


def _check_v1(entry: pb.TransparencyLogEntry, log: Log) -> None:
    proof = entry.inclusion_proof
    leaf = merkle.leaf_hash(entry.canonicalized_body)
    root = merkle.root_hash(proof.log_index, proof.tree_size, leaf, proof.hashes)
    checkpoint = merkle.parse_checkpoint(proof.checkpoint.envelope)
    if not checkpoint.is_rekor_v1:
        raise NotVerified("transparency log entry and checkpoint are of different versions")
    merkle.check_rekor_v1(checkpoint, log.key)
    if root != proof.root_hash or root != checkpoint.hash:
        raise NotVerified("inclusion proof: calculated root does not match expected root")


def _check_v2(entry: pb.TransparencyLogEntry, log: Log, signed: Signed, key: PublicKey) -> None:
    """What the entry must be is made from the signature: its own body proves nothing."""
    proof = entry.inclusion_proof
    host = parse_url(log.url).hostname
    if not host:
        raise NotVerified("cannot verify Rekor v2 entry of a log whose baseUrl is not known")
    checkpoint = merkle.parse_checkpoint(proof.checkpoint.envelope)
    merkle.check_note(checkpoint, host, log.key)
    leaf = merkle.leaf_hash(_v2_body(signed, key))
    if merkle.root_hash(entry.log_index, checkpoint.size, leaf, proof.hashes) != checkpoint.hash:
        raise NotVerified("inclusion proof: calculated root does not match expected root")


# -- bodies --


def _is_v2(body: dict[str, object]) -> bool:
    return body.get("kind") == "hashedrekord" and body.get("apiVersion") == "0.0.2"


def _v2_body(signed: Signed, key: PublicKey) -> bytes:
    """The entry's body in canonical JSON (RFC 8785): everything in it is ASCII."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        raise NotVerified("rekor v2 entries of Ed25519 keys are not supported")
    if isinstance(key, ec.EllipticCurvePublicKey):
        bits = key.curve.key_size
        size = {256: 256, 384: 384, 521: 512}[bits]
        details = f"PKIX_ECDSA_P{bits}_SHA_{size}"
    else:
        size, details = 256, f"PKIX_RSA_PKCS1V15_{key.key_size}_SHA256"
    if isinstance(signed.content, Message):
        digest = signed.content.digest
    else:
        digest = keys.digest(keys.hash_of(key), signed.content.encoded)
    if signed.certificate is not None:
        raw = keys.der(signed.certificate)
        verifier: dict[str, object] = {"x509Certificate": {"rawBytes": _base64(raw)}}
    else:
        verifier = {"publicKey": {"rawBytes": _base64(keys.spki(key))}}
    verifier["keyDetails"] = details
    spec = {
        "data": {"algorithm": f"SHA2_{size}", "digest": _base64(digest)},
        "signature": {"content": _base64(signed.content.signature), "verifier": verifier},
    }
    entry = {
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {"hashedRekordV002": spec},
    }
    return json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _body(body: dict[str, object]) -> _Body:
    kind, version = body.get("kind"), body.get("apiVersion")
    try:
        match kind, version:
            case "hashedrekord", "0.0.1":
                return _hashed(_at(body, "spec"))
            case "dsse", "0.0.1":
                return _dsse(_at(body, "spec"))
            case "intoto", "0.0.2":
                return _intoto(_at(body, "spec", "content"))
    except (LookupError, TypeError, ValueError) as error:
        raise NotVerified(f"transparency log entry can't be read: {error!r}") from None
    raise NotVerified(f"unsupported transparency log entry type {kind!r} {version!r}")


def _at(value: object, *path: str | int) -> object:
    for step in path:
        match value, step:
            case dict(), str():
                value = value[step]
            case list(), int():
                value = value[step]
            case _:
                raise LookupError(str(step))
    return value


def _text(value: object, *path: str | int) -> str:
    below = _at(value, *path)
    if not isinstance(below, str):
        raise LookupError(str(path[-1]))
    return below


def _bytes(value: object, *path: str | int) -> bytes:
    try:
        return base64.b64decode(_text(value, *path), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _hashed(spec: object) -> _Body:
    algorithm = _text(spec, "data", "hash", "algorithm")
    if algorithm not in _HASH_NAMES:
        raise NotVerified(f"unsupported digest algorithm {algorithm!r}")
    return _Body(
        _bytes(spec, "signature", "content"),
        keys.pem_block(_bytes(spec, "signature", "publicKey", "content")),
        message=(algorithm, bytes.fromhex(_text(spec, "data", "hash", "value"))),
    )


def _dsse(spec: object) -> _Body:
    return _Body(
        _bytes(spec, "signatures", 0, "signature"),
        keys.pem_block(_bytes(spec, "signatures", 0, "verifier")),
        payload=bytes.fromhex(_text(spec, "payloadHash", "value")),
    )


def _intoto(content: object) -> _Body:
    try:
        signature = base64.b64decode(
            _bytes(content, "envelope", "signatures", 0, "sig"), validate=True
        )
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    return _Body(
        signature,
        keys.pem_block(_bytes(content, "envelope", "signatures", 0, "publicKey")),
        payload=bytes.fromhex(_text(content, "payloadHash", "value")),
    )


def _compare(body: _Body, signed: Signed, key: PublicKey) -> None:
    """The entry is of this very signature."""
    content = signed.content
    if body.signature != content.signature:
        raise NotVerified("transparency log signature does not match")
    own = keys.spki(key) if signed.certificate is None else keys.der(signed.certificate)
    if body.verifier != own:
        raise NotVerified("transparency log certificate does not match")
    if isinstance(content, Message):
        if body.message != (content.algorithm, content.digest):
            raise NotVerified("transparency log hashedrekord entry does not match artifact")
    elif isinstance(content, Envelope) and body.payload != _sha256(content.payload):
        raise NotVerified("transparency log dsse/intoto entry does not match envelope payload")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
