"""Public-key arithmetic, by `cryptography`, which is imported when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.signatures.packets import (
    DSA,
    ECDSA,
    EDDSA,
    HASHES,
    RSA,
    RSA_SIGN_ONLY,
    PublicKey,
    SignaturePacket,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes

_NAMES = {
    RSA: "RSA",
    RSA_SIGN_ONLY: "RSA",
    DSA: "DSA",
    ECDSA: "ECDSA",
    EDDSA: "EdDSA",
}
_ED25519 = bytes.fromhex("2b06010401da470f01")
_CURVES = {
    bytes.fromhex("2a8648ce3d030107"): "SECP256R1",
    bytes.fromhex("2b81040022"): "SECP384R1",
    bytes.fromhex("2b81040023"): "SECP521R1",
    bytes.fromhex("2b8104000a"): "SECP256K1",
    bytes.fromhex("2b2403030208010107"): "BrainpoolP256R1",
    bytes.fromhex("2b240303020801010b"): "BrainpoolP384R1",
    bytes.fromhex("2b240303020801010d"): "BrainpoolP512R1",
}


def failure(algorithm: int) -> str:
    """The message about a signature of that algorithm that does not hold."""
    return f"openpgp: invalid signature: {_NAMES.get(algorithm, 'unknown')} verification failure"


def verify(key: PublicKey, signature: SignaturePacket, digest: bytes) -> bool:
    """Whether the key's owner signed what has this digest."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    if key.algorithm != signature.algorithm:
        return False
    try:
        match key.algorithm:
            case _ if key.algorithm in (RSA, RSA_SIGN_ONLY):
                _rsa(key, signature, digest)
            case _ if key.algorithm == ECDSA:
                _ecdsa(key, signature, digest)
            case _ if key.algorithm == EDDSA:
                _eddsa(key, signature, digest)
            case _:
                return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, OverflowError, KeyError):
        return False
    return True


def _rsa(key: PublicKey, signature: SignaturePacket, digest: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

    public = rsa.RSAPublicNumbers(key.numbers[1], key.numbers[0]).public_key()
    value = signature.numbers[0].to_bytes((public.key_size + 7) // 8, "big")
    hashed = utils.Prehashed(_hash(signature))
    public.verify(value, digest, padding.PKCS1v15(), hashed)


def _ecdsa(key: PublicKey, signature: SignaturePacket, digest: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    curve: ec.EllipticCurve = getattr(ec, _CURVES[key.curve])()
    point = key.numbers[0]
    public = ec.EllipticCurvePublicKey.from_encoded_point(
        curve, point.to_bytes((point.bit_length() + 7) // 8, "big")
    )
    value = utils.encode_dss_signature(*signature.numbers)
    public.verify(value, digest, ec.ECDSA(utils.Prehashed(_hash(signature))))


def _eddsa(key: PublicKey, signature: SignaturePacket, digest: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if key.curve != _ED25519:
        raise KeyError(key.curve)
    point = key.numbers[0].to_bytes(33, "big")
    if point[0] != 0x40:
        raise ValueError("not a native point")
    value = b"".join(number.to_bytes(32, "big") for number in signature.numbers)
    Ed25519PublicKey.from_public_bytes(point[1:]).verify(value, digest)


def _hash(signature: SignaturePacket) -> hashes.HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    algorithm: hashes.HashAlgorithm = getattr(hashes, HASHES[signature.hash].upper())()
    return algorithm
