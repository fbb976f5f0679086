"""SSH signatures (OpenSSH `PROTOCOL.sshsig`), as `git` makes them with `gpg.format=ssh`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.signatures import armor
from croze.signatures.pgp import BadSignature

_MAGIC = b"SSHSIG"
_NAMESPACE = "git"
_HASHES = ("sha256", "sha512")
_SECURITY_KEYS = {
    "sk-ssh-ed25519@openssh.com": "ssh-ed25519",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ecdsa-sha2-nistp256",
}
_CURVES = {"nistp256": ("SECP256R1", "SHA256"), "nistp384": ("SECP384R1", "SHA384")}
_CURVES["nistp521"] = ("SECP521R1", "SHA512")
_RSA_HASHES = {"rsa-sha2-256": "SHA256", "rsa-sha2-512": "SHA512"}


class _Wire:
    """SSH's encoding (RFC 4251 section 5)."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, size: int) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        if len(piece) < size:
            raise InvalidRequest("failed to parse ssh signature: unexpected end")
        return piece

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def mpint(self) -> int:
        return int.from_bytes(self.string(), "big")


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class SshSignature(Struct, frozen=True):
    """An SSH signature. `key` and `value` are in SSH's encoding."""

    key: bytes
    namespace: str
    hash: str
    value: bytes


def parse(text: bytes) -> SshSignature:
    """Read an armoured signature. Raises `InvalidRequest`."""
    block = next(armor.blocks(text), None)
    if block is None or block.kind != "SSH SIGNATURE":
        raise InvalidRequest("failed to decode ssh signature PEM block")
    wire = _Wire(block.data)
    if wire.take(len(_MAGIC)) != _MAGIC:
        raise InvalidRequest("failed to parse ssh signature: invalid magic preamble")
    version = wire.number()
    if version != 1:
        raise InvalidRequest(f"unsupported SSH signature version: {version}")
    key, namespace, _, hash, value = (wire.string() for _ in range(5))
    return SshSignature(key, _text(namespace), _text(hash), value)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def verify(data: bytes, signature: bytes, key: bytes) -> None:
    """See that the owner of `key`, a line of `authorized_keys`, signed the data. Raises
    `BadSignature`, or `InvalidRequest` where something can't be read."""
    parsed = parse(signature)
    if parsed.hash not in _HASHES:
        raise BadSignature(f"unsupported SSH signature hash algorithm: {parsed.hash}")
    if parsed.namespace != _NAMESPACE:
        raise BadSignature(f'unexpected SSH signature namespace: "{parsed.namespace}"')
    authorized = _authorized_key(key)
    if parsed.key != authorized:
        raise BadSignature("failed to verify ssh signature: public key does not match")
    digest = hashlib.new(parsed.hash, data).digest()
    parts = (parsed.namespace.encode(), b"", parsed.hash.encode(), digest)
    if not _holds(authorized, parsed.value, _MAGIC + b"".join(map(_string, parts))):
        raise BadSignature("failed to verify ssh signature: ssh: signature did not verify")


def _authorized_key(text: bytes) -> bytes:
    """The first key of the file: `[options] type base64 [comment]`."""
    for line in text.splitlines():
        words = line.split()
        for name, data in itertools.pairwise(words):
            try:
                key = base64.b64decode(data, validate=True)
                if _Wire(key).string() == name:
                    return key
            except (binascii.Error, InvalidRequest):
                continue
    raise InvalidRequest("failed to parse ssh public key: ssh: no key found")


def _holds(key: bytes, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    public, sealed = _Wire(key), _Wire(signature)
    kind, sealed_kind = _text(public.string()), _text(sealed.string())
    value = sealed.string()
    if kind in _SECURITY_KEYS:
        if kind != sealed_kind:
            return False
        data = _as_security_key_sees(key, kind, sealed, data)
        kind = sealed_kind = _SECURITY_KEYS[kind]
    try:
        _check(kind, sealed_kind, public, value, data)
    except (InvalidSignature, ValueError, KeyError):
        return False
    return True


def _as_security_key_sees(key: bytes, kind: str, sealed: _Wire, data: bytes) -> bytes:
    """A token signs hashes, with its own flags and counter (OpenSSH `PROTOCOL.u2f`)."""
    wire = _Wire(key)
    for _ in range(2 if kind.startswith("sk-ssh") else 3):
        wire.string()
    application = wire.string()
    flags_and_counter = sealed.take(5)
    return hashlib.sha256(application).digest() + flags_and_counter + hashlib.sha256(data).digest()


def _check(kind: str, sealed_kind: str, public: _Wire, value: bytes, data: bytes) -> None:
    """See that the signature's value is the key's, over the data. Raises `cryptography`'s
    InvalidSignature where it does not hold, and ValueError where it can't be read."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

    if kind == "ssh-rsa":
        exponent, modulus = public.mpint(), public.mpint()
        rsa_key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        rsa_hash = hashes.SHA256() if _RSA_HASHES[sealed_kind] == "SHA256" else hashes.SHA512()
        rsa_key.verify(value, data, padding.PKCS1v15(), rsa_hash)
        return
    if kind != sealed_kind:
        raise ValueError(f"signature type {sealed_kind} for key type {kind}")
    if kind == "ssh-ed25519":
        ed25519.Ed25519PublicKey.from_public_bytes(public.string()).verify(value, data)
        return
    curve, hash = _CURVES[_text(public.string())]
    point = ec.EllipticCurvePublicKey.from_encoded_point(getattr(ec, curve)(), public.string())
    pair = _Wire(value)
    der = utils.encode_dss_signature(pair.mpint(), pair.mpint())
    point.verify(der, data, ec.ECDSA(getattr(hashes, hash)()))
