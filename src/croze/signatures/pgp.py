"""Detached OpenPGP signatures over a file or a git object.

What is good, when, and the words for what isn't: BuildKit `util/pgpsign`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from croze.errors import CrozeError, InvalidRequest
from croze.signatures import armor
from croze.signatures.keyring import Entity, SigningKey, read_keys, revoked, signing_keys
from croze.signatures.packets import (
    ECDSA,
    EDDSA,
    HASHES,
    RSA,
    RSA_SIGN_ONLY,
    SIGNATURE,
    MalformedPacket,
    PublicKey,
    SignaturePacket,
    packets,
    parse_signature,
)
from croze.signatures.public import failure, verify

_GOOD_HASHES = frozenset({8, 9, 10})
_HASH_NAMES = {2: "SHA-1", 11: "SHA-224", 12: "SHA3-256", 14: "SHA3-512"}
_GOOD_KEYS = frozenset({EDDSA, ECDSA, RSA, RSA_SIGN_ONLY})
_BINARY, _TEXT = 0x00, 0x01
_CLOCK_SKEW_S = 300
_LEAST_RSA_BITS = 2048


class BadSignature(CrozeError):
    """The signature is missing, does not hold, or is of nobody whom we trust."""


def parse(text: bytes) -> SignaturePacket:
    """The first signature of an armoured block. Raises `InvalidRequest`."""
    return next(_signatures(text))


def _signatures(text: bytes) -> Iterator[SignaturePacket]:
    block = next(armor.blocks(text), None)
    if block is None:
        raise InvalidRequest("failed to decode armored signature: EOF")
    has_packet = False
    for packet in packets(block.data):
        if packet.tag == SIGNATURE:
            has_packet = True
            yield parse_signature(packet.body)
    if not has_packet:
        raise InvalidRequest("no signature packet found")


def verify_detached(
    data: Iterable[bytes], signature: bytes, keys: bytes, *, reject_expired: bool = False
) -> None:
    """See that an owner of one of the keys signed the data. A key that has expired since is good
    unless `reject_expired`. Raises `BadSignature`, or `InvalidRequest` where signature or keys
    can't be read."""
    first = parse(signature)
    entities = read_keys(keys)
    _check_algorithms(first)
    now = time.time() if reject_expired else first.created
    try:
        signer = _check(data, list(_signatures(signature)), entities, now)
    except CrozeError as err:
        raise err.wrap(f"signature by {first.issuer:X}") if first.issuer else err from None
    _check_usable(signer, reject_expired=reject_expired)
    if first.created > time.time() + _CLOCK_SKEW_S:
        raise BadSignature(f"signature creation time is in the future: {_date(first.created)}")


def _check_algorithms(signature: SignaturePacket) -> None:
    if signature.hash not in _GOOD_HASHES:
        raise BadSignature(f"rejecting weak/unknown hash: {_HASH_NAMES[signature.hash]}")
    if signature.algorithm not in _GOOD_KEYS:
        raise BadSignature(f"rejecting unsupported pubkey algorithm: {signature.algorithm}")


def _check(
    data: Iterable[bytes],
    signatures: Sequence[SignaturePacket],
    entities: Sequence[Entity],
    now: float,
) -> Entity:
    for signature in signatures:
        if signature.issuer is None:
            raise MalformedPacket("signature doesn't have an issuer")
        keys = list(signing_keys(entities, signature.issuer))
        if keys:
            return _check_with(keys, signature, _digest(data, signature), now)
    raise BadSignature("openpgp: signature made by unknown entity")


def _check_with(
    keys: Sequence[SigningKey], signature: SignaturePacket, digest: bytes, now: float
) -> Entity:
    for each in keys:
        if verify(each.key, signature, digest):
            _check_times(each, signature, now)
            return each.entity
    raise BadSignature(failure(signature.algorithm))


def _digest(data: Iterable[bytes], signature: SignaturePacket) -> bytes:
    sums = hashlib.new(HASHES[signature.hash])
    if signature.kind == _BINARY:
        pieces = data
    elif signature.kind == _TEXT:
        pieces = _with_crlf(data)
    else:
        raise BadSignature(
            f"openpgp: unsupported feature: hash type for signature {signature.kind}"
        )
    for piece in pieces:
        sums.update(piece)
    sums.update(signature.suffix)
    return sums.digest()


def _with_crlf(data: Iterable[bytes]) -> Iterator[bytes]:
    """Lines end as in mail, wherever the pieces are cut."""
    after_cr = False
    for piece in data:
        if after_cr and piece.startswith(b"\n"):
            yield b"\n"
            piece = piece[1:]
            after_cr = False
        if not piece:
            continue
        after_cr = piece.endswith(b"\r")
        yield piece.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _check_times(signer: SigningKey, signature: SignaturePacket, now: float) -> None:
    entity = signer.entity
    user = entity.main_user()
    own = entity.self_signature()
    if (
        revoked(entity.revocations, now)
        or (signer.is_subkey and revoked(signer.revocations, now))
        or (user is not None and revoked(user.revocations, now))
    ):
        raise BadSignature("openpgp: signature made by revoked key")
    if own is not None and _key_expired(entity.primary, own, now):
        raise BadSignature("openpgp: key expired")
    if signer.is_subkey and _key_expired(signer.key, signer.binding, now):
        raise BadSignature("openpgp: key expired")
    to_check = [signature, *([own] if own else []), *([signer.binding] if signer.is_subkey else [])]
    if any(each.expired(now) for each in to_check):
        raise BadSignature("openpgp: signature expired")


def _key_expired(key: PublicKey, signature: SignaturePacket, now: float) -> bool:
    if key.created > now:
        return True
    return bool(signature.key_lifetime and now > key.created + signature.key_lifetime)


def _check_usable(signer: Entity, *, reject_expired: bool) -> None:
    own = signer.self_signature()
    if reject_expired and own is not None and _key_expired(signer.primary, own, time.time()):
        raise BadSignature(f"key expired at {_date(signer.primary.created + own.key_lifetime)}")
    for revocation in signer.revocations:
        text = revocation.revocation_text
        raise BadSignature(f"key revoked: {text}" if text else "key revoked")
    if signer.primary.algorithm in (RSA, RSA_SIGN_ONLY):
        bits = signer.primary.numbers[0].bit_length()
        if bits < _LEAST_RSA_BITS:
            raise BadSignature(f"RSA key too short: {bits} bits")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
