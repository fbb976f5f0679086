"""Public keys, and signatures by them, by `cryptography`."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from croze.sigstore.errors import NotVerified

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

MALFORMED = (
    *(ValueError, TypeError, OverflowError, UnsupportedAlgorithm),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""What `cryptography` says of certificates and keys that are none."""
_CURVES: dict[str, type[hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}
_LEAST_RSA_BITS, _MOST_RSA_BITS = 2048, 16384


def checked(key: object) -> PublicKey:
    """The key, if it is of a kind and strength that counts. Raises `NotVerified`."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    if isinstance(key, rsa.RSAPublicKey) and _LEAST_RSA_BITS <= key.key_size <= _MOST_RSA_BITS:
        return key
    raise NotVerified(f"unsupported public key {type(key).__name__.removeprefix('_')}")


def of_der(data: bytes) -> PublicKey:
    """The key in a SubjectPublicKeyInfo. Raises `NotVerified`."""
    try:
        return checked(serialization.load_der_public_key(data))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotVerified(f"invalid public key: {error}") from None


def of_pkcs1(data: bytes) -> PublicKey:
    """The key in a bare RSAPublicKey (RFC 8017), which `cryptography` reads in PEM only."""
    text = b"-----BEGIN RSA PUBLIC KEY-----\n" + base64.encodebytes(data)
    return of_pem(text + b"-----END RSA PUBLIC KEY-----\n")


def of_pem(data: bytes) -> PublicKey:
    """A public key in PEM. Raises `NotVerified`."""
    try:
        return checked(serialization.load_pem_public_key(data))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotVerified(f"invalid public key: {error}") from None


def certificate(data: bytes) -> x509.Certificate:
    """A certificate in DER, all of which can be read. Raises `NotVerified`."""
    try:
        parsed = x509.load_der_x509_certificate(data)
        # These are read when they are first asked for: what is wrong with them is told here.
        _ = (parsed.extensions, parsed.issuer, parsed.subject, parsed.tbs_certificate_bytes)
        _ = (parsed.not_valid_before_utc, parsed.not_valid_after_utc)
    except MALFORMED as error:
        raise NotVerified(f"invalid certificate: {error}") from None
    return parsed


def key_of(certificate: x509.Certificate) -> PublicKey:
    """The key of a certificate, checked. Raises `NotVerified`."""
    try:
        return checked(certificate.public_key())
    except MALFORMED as error:
        raise NotVerified(f"invalid public key: {error}") from None


def pem_block(data: bytes) -> bytes:
    """The bytes that the first PEM block holds; empty if there is none."""
    _, begun, rest = data.partition(b"-----BEGIN ")
    body, ended, _ = rest.partition(b"-----END ")
    if not begun or not ended:
        return b""
    try:
        return base64.b64decode(body.partition(b"-----")[2], validate=False)
    except binascii.Error:
        return b""


def spki(key: PublicKey) -> bytes:
    """A public key in DER, as certificates have it (SubjectPublicKeyInfo)."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def fingerprint(key: PublicKey) -> str:
    """The fingerprint that `ssh-keygen -l` prints, by which envelopes name keys."""
    text = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    value = hashlib.sha256(base64.b64decode(text.split()[1])).digest()
    return f"SHA256:{base64.b64encode(value).decode().rstrip('=')}"


def raw_ed25519(key: ed25519.Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def hash_of(key: PublicKey) -> type[hashes.HashAlgorithm]:
    """The hash that signers with such a key use."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES[key.curve.name]
    return hashes.SHA256


def digest(algorithm: type[hashes.HashAlgorithm], data: bytes) -> bytes:
    """A hash of `data`."""
    context = hashes.Hash(algorithm())
    context.update(data)
    return context.finalize()


def signed(key: PublicKey, signature: bytes, data: bytes, *, old: bool = False) -> bool:
    """Whether the owner of `key` signed `data`. `old`: SHA-256 may stand for the hash of the key's
    size, as earlier clients had it."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True
    return any(
        _signed_digest(key, signature, digest(kind, data), kind) for kind in _hashes(key, old=old)
    )


def signed_digest(key: PublicKey, signature: bytes, value: bytes, *, old: bool = False) -> bool:
    """Whether the owner signed what has this digest. Raises `NotVerified` for Ed25519, where the
    digest alone does not do."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        raise NotVerified(
            "message signatures by Ed25519 keys can't be verified with a digest alone"
        )
    return any(
        kind().digest_size == len(value) and _signed_digest(key, signature, value, kind)
        for kind in _hashes(key, old=old)
    )


def _hashes(key: PublicKey, *, old: bool) -> set[type[hashes.HashAlgorithm]]:
    return {hash_of(key), hashes.SHA256} if old else {hash_of(key)}


def _signed_digest(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    signature: bytes,
    value: bytes,
    kind: type[hashes.HashAlgorithm],
) -> bool:
    prehashed = Prehashed(kind())
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, value, padding.PKCS1v15(), prehashed)
        else:
            key.verify(signature, value, ec.ECDSA(prehashed))
    except (InvalidSignature, ValueError):
        return False
    return True


def der(certificate: x509.Certificate) -> bytes:
    """A certificate in DER."""
    return certificate.public_bytes(serialization.Encoding.DER)
