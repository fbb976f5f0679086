"""Merkle trees of transparency logs (RFC 6962), and the signed heads of them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from msgspec import Struct

from croze.sigstore import keys
from croze.sigstore.errors import NotVerified
from croze.sigstore.keys import PublicKey

_SIGNATURE = re.compile("— (\\S+) (\\S+)")
_MOST_SIGNATURES = 100
_MOST_CHECKPOINT_BYTES = 64 << 10


def leaf_hash(data: bytes) -> bytes:
    """The hash of a log's entry (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def root_hash(index: int, size: int, leaf: bytes, hashes: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2).

    Raises `NotVerified` if it is no proof for such a tree.
    """
    if not 0 <= index < size or size >= 1 << 63:
        raise NotVerified(f"inclusion proof: index {index} is beyond size {size}")
    hashed, node, last = leaf, index, size - 1
    for each in hashes:
        if len(each) != hashlib.sha256().digest_size or last == 0:
            raise NotVerified("inclusion proof: wrong proof size")
        if node & 1 or node == last:
            hashed = _node(each, hashed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            hashed = _node(hashed, each)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise NotVerified("inclusion proof: wrong proof size")
    return hashed


class Checkpoint(Struct, frozen=True):
    """A signed note: `text` is what is signed; signatures are names, hints of keys, values."""

    text: bytes
    origin: str
    size: int
    hash: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @property
    def is_rekor_v1(self) -> bool:
        """Whether the tree is called as Rekor's first version does it: `HOST - NUMBER`."""
        return re.fullmatch(r".* - [0-9]+", self.origin) is not None


def parse_checkpoint(envelope: str) -> Checkpoint:
    """Read the signed head of a log's tree. Raises `NotVerified`."""
    text, blank, rest = envelope.rpartition("\n\n")
    lines = text.split("\n")
    if len(envelope) > _MOST_CHECKPOINT_BYTES or not blank or not rest.endswith("\n"):
        raise NotVerified("malformed checkpoint")
    if len(lines) < 3 or not lines[0] or not re.fullmatch("[0-9]{1,19}", lines[1]):
        raise NotVerified("invalid checkpoint: origin, size and root hash must be there")
    try:
        root = base64.b64decode(lines[2], validate=True)
        signatures = tuple(_signature(line) for line in rest[:-1].split("\n"))
    except binascii.Error as error:
        raise NotVerified(f"invalid checkpoint: {error}") from None
    if len(signatures) > _MOST_SIGNATURES:
        raise NotVerified("checkpoint has too many signatures")
    return Checkpoint(f"{text}\n".encode(), lines[0], int(lines[1]), root, signatures)


def _signature(line: str) -> tuple[str, bytes, bytes]:
    matched = _SIGNATURE.fullmatch(line)
    value = base64.b64decode(matched[2], validate=True) if matched else b""
    if matched is None or len(value) < 5:
        raise NotVerified("invalid checkpoint: malformed signature")
    return matched[1], value[:4], value[4:]


def check_rekor_v1(checkpoint: Checkpoint, key: PublicKey) -> None:
    """See that all signatures of a checkpoint are by this key. Raises `NotVerified`."""
    hint = hashlib.sha256(keys.spki(key)).digest()[:4]
    for _, each, value in checkpoint.signatures:
        if each != hint or not keys.signed(key, value, checkpoint.text):
            raise NotVerified("signature on checkpoint did not verify")


def check_note(checkpoint: Checkpoint, origin: str, key: PublicKey) -> None:
    """See that the log signed a checkpoint; others may have, too. Raises `NotVerified`."""
    hint = _hint(origin, key)
    own = [v for name, each, v in checkpoint.signatures if (name, each) == (origin, hint)]
    if not own or not keys.signed(key, own[0], checkpoint.text):
        raise NotVerified("signature on checkpoint did not verify")
    if checkpoint.origin != origin:
        raise NotVerified(f"checkpoint is of {checkpoint.origin!r}, not of {origin!r}")


def _hint(origin: str, key: PublicKey) -> bytes:
    """The four bytes by which a note says whose a signature is (https://c2sp.org/signed-note)."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return hashlib.sha256(keys.spki(key)).digest()[:4]
    if isinstance(key, ed25519.Ed25519PublicKey):
        kind, data = b"\1", keys.raw_ed25519(key)
    else:
        kind, data = b"\xffPKIX-RSA-PKCS#1v1.5", keys.spki(key)
    return hashlib.sha256(origin.encode() + b"\n" + kind + data).digest()[:4]
