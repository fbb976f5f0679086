"""OpenPGP packets (RFC 9580): as much as it takes to check signatures of version 4 keys.

Read by hand; the package says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from croze.errors import InvalidRequest, Unsupported

SIGNATURE, SECRET_KEY, PUBLIC_KEY, SECRET_SUBKEY, USER_ID, PUBLIC_SUBKEY = 2, 5, 6, 7, 13, 14

RSA, RSA_SIGN_ONLY, DSA, ECDSA, EDDSA = 1, 3, 17, 19, 22
HASHES: Final[Mapping[int, str]] = {
    2: "sha1",
    8: "sha256",
    9: "sha384",
    10: "sha512",
    11: "sha224",
    12: "sha3_256",
    14: "sha3_512",
}
_KDF_ALGORITHM = 18  # ECDH: a key's parameters end with those of a key derivation
_MPI_COUNTS: Final[Mapping[int, int]] = {RSA: 2, 2: 2, RSA_SIGN_ONLY: 2, 16: 3, DSA: 4}
_RAW_SIZES: Final[Mapping[int, int]] = {25: 32, 26: 56, 27: 32, 28: 57}


class MalformedPacket(InvalidRequest):
    """Bytes that are not what the format says."""

    def __init__(self, text: str) -> None:
        super().__init__(f"openpgp: invalid data: {text}")


class PacketReader:
    """Takes bytes from the front. Raises `MalformedPacket` where there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self._data)

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        piece = self._data[self.at : self.at + size]
        if size < 0 or len(piece) < size:
            raise MalformedPacket("unexpected end")
        self.at += size
        return piece

    def number(self, size: int) -> int:
        """The next `size` bytes as a number, the largest first."""
        return int.from_bytes(self.take(size), "big")

    def mpi(self) -> int:
        """A multi-precision integer."""
        return int.from_bytes(self.take((self.number(2) + 7) // 8), "big")


class Packet(Struct, frozen=True):
    tag: int
    body: bytes


def packets(data: bytes) -> Iterator[Packet]:
    """The packets in a row of bytes. Raises `MalformedPacket`."""
    reader = PacketReader(data)
    while reader:
        head = reader.number(1)
        if not head & 0x80:
            raise MalformedPacket("tag byte does not have MSB set")
        if head & 0x40:
            yield Packet(head & 0x3F, _new_body(reader))
        else:
            size_kind = head & 3
            size = len(data) - reader.at if size_kind == 3 else reader.number(1 << size_kind)
            yield Packet((head >> 2) & 0xF, reader.take(size))


def _new_body(reader: PacketReader) -> bytes:
    body = b""
    while True:
        first = reader.number(1)
        if not 224 <= first < 255:
            return body + reader.take(_size(first, reader))
        body += reader.take(1 << (first & 0x1F))  # one part of several


def _size(first: int, reader: PacketReader) -> int:
    if first < 192:
        return first
    if first < 255:
        return ((first - 192) << 8) + reader.number(1) + 192
    return reader.number(4)


class PublicKey(Struct, frozen=True):
    """A key to check signatures with. `numbers` are its MPIs, or the point of a curve. `body` is
    what is fingerprinted."""

    body: bytes
    created: int
    algorithm: int
    numbers: tuple[int, ...] = ()
    curve: bytes = b""

    @property
    def id(self) -> int:
        """The key's id: the last eight bytes of the fingerprint."""
        return int.from_bytes(self.fingerprint[-8:], "big")

    @property
    def fingerprint(self) -> bytes:
        """The fingerprint of a version 4 key: 20 bytes (RFC 9580, section 5.5.4.1)."""
        return hashlib.sha1(self.hashed, usedforsecurity=False).digest()

    @property
    def hashed(self) -> bytes:
        """The bytes of the key that go into hashes."""
        return b"\x99" + len(self.body).to_bytes(2, "big") + self.body


def parse_key(body: bytes) -> PublicKey:
    """A public key, or the public part of a secret one. Raises `Unsupported` for versions other
    than 4."""
    reader = PacketReader(body)
    version = reader.number(1)
    if version != 4:
        raise Unsupported(f"openpgp: unsupported feature: public key version {version}")
    created, algorithm = reader.number(4), reader.number(1)
    numbers: tuple[int, ...] = ()
    curve = b""
    if algorithm in _MPI_COUNTS:
        numbers = tuple(reader.mpi() for _ in range(_MPI_COUNTS[algorithm]))
    elif algorithm in (_KDF_ALGORITHM, ECDSA, EDDSA):
        curve = reader.take(reader.number(1))
        numbers = (reader.mpi(),)
        if algorithm == _KDF_ALGORITHM:
            reader.take(reader.number(1))
    elif algorithm in _RAW_SIZES:
        reader.take(_RAW_SIZES[algorithm])
    else:
        raise Unsupported(f"openpgp: unsupported feature: public key type: {algorithm}")
    return PublicKey(body[: reader.at], created, algorithm, numbers, curve)


class SignaturePacket(Struct, frozen=True):
    """A signature, as its packet tells of it. Times in Unix seconds; lifetimes in seconds, 0 for
    ever. `suffix` ends what is hashed."""

    kind: int
    algorithm: int
    hash: int
    suffix: bytes
    numbers: tuple[int, ...]
    created: int = 0
    lifetime: int = 0
    key_lifetime: int = 0
    issuer: int | None = None
    flags: int | None = None
    primary_user: bool = False
    revocation_reason: int | None = None
    revocation_text: str = ""
    embedded: bytes = b""

    def digest(self, *data: bytes) -> bytes:
        """The digest of what is signed."""
        sums = hashlib.new(HASHES[self.hash])
        for each in (*data, self.suffix):
            sums.update(each)
        return sums.digest()

    def expired(self, now: float) -> bool:
        """Whether the signature is over at that time, or not made yet."""
        return self.created > now or bool(self.lifetime and now > self.created + self.lifetime)


def parse_signature(body: bytes) -> SignaturePacket:
    """Read a signature's packet. Raises `Unsupported` for versions other than 4 and hashes that
    nobody should use."""
    reader = PacketReader(body)
    version = reader.number(1)
    if version != 4:
        raise Unsupported(f"openpgp: unsupported feature: signature packet version {version}")
    kind, algorithm, hash = reader.number(1), reader.number(1), reader.number(1)
    if hash not in HASHES:
        raise Unsupported(f"openpgp: unsupported feature: hash function {hash}")
    hashed = reader.take(reader.number(2))
    covered = body[: reader.at]
    unhashed = reader.take(reader.number(2))
    reader.take(2)  # the hash's first bytes: a hint
    numbers = tuple(reader.mpi() for _ in range(1 if algorithm in (RSA, RSA_SIGN_ONLY) else 2))
    suffix = covered + b"\x04\xff" + len(covered).to_bytes(4, "big")
    subpackets = _subpackets(PacketReader(unhashed), trusted=False) | _subpackets(
        PacketReader(hashed), trusted=True
    )
    reason = subpackets.get(_REVOCATION, b"")
    return SignaturePacket(
        kind,
        algorithm,
        hash,
        suffix,
        numbers,
        created=_number(subpackets.get(_CREATED)),
        lifetime=_number(subpackets.get(_LIFETIME)),
        key_lifetime=_number(subpackets.get(_KEY_LIFETIME)),
        issuer=_issuer(subpackets),
        flags=subpackets[_FLAGS][0] if subpackets.get(_FLAGS) else None,
        primary_user=_number(subpackets.get(_PRIMARY_USER)) != 0,
        revocation_reason=reason[0] if reason else None,
        revocation_text=reason[1:].decode("utf-8", "replace"),
        embedded=subpackets.get(_EMBEDDED, b""),
    )


def _number(data: bytes | None) -> int:
    return int.from_bytes(data or b"", "big")


def _issuer(subpackets: Mapping[int, bytes]) -> int | None:
    """A key's id, given as it is or by the fingerprint that it ends."""
    if _ISSUER in subpackets:
        return _number(subpackets[_ISSUER])
    return _number(subpackets[_FINGERPRINT][-8:]) if _FINGERPRINT in subpackets else None


_CREATED, _LIFETIME, _KEY_LIFETIME, _ISSUER = 2, 3, 9, 16
_PRIMARY_USER, _FLAGS, _REVOCATION, _EMBEDDED, _FINGERPRINT = 25, 27, 29, 32, 33
_UNTRUSTED = frozenset({_ISSUER, _EMBEDDED, _FINGERPRINT})
"""Subpackets that may stand outside of what is signed: they only help to find the key."""
_KNOWN = frozenset({2, 3, 9, 11, 16, 21, 22, 23, 25, 27, 28, 29, 30, 31, 32, 33, 34, 35, 38, 39})


def _subpackets(reader: PacketReader, *, trusted: bool) -> dict[int, bytes]:
    subpackets: dict[int, bytes] = {}
    while reader:
        body = reader.take(_size(reader.number(1), reader))
        if not body:
            raise MalformedPacket("zero length signature subpacket")
        kind, critical = body[0] & 0x7F, bool(body[0] & 0x80)
        if critical and trusted and kind not in _KNOWN:
            raise Unsupported(
                f"openpgp: unsupported feature: unknown critical signature subpacket type {kind}"
            )
        if trusted or kind in _UNTRUSTED:
            subpackets[kind] = body[1:]
    return subpackets
