"""Chains of authorities and kinds of keys: what sigstore-go takes is taken, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from croze.sigstore import bundle, trust
from croze.sigstore.errors import NotVerified
from croze.sigstore.verify import verify
from tests.support.keys import b64, pem
from tests.support.sigstore import Instance, Spoilt, hashed_record

DATA = b"data"
UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\0")


def usage(*, signs: bool) -> x509.KeyUsage:
    others = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs, **others)


def purpose(oid: ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([oid])


@dataclass(frozen=True)
class Authority:
    """How one is made. `limit`: how many authorities may stand below it."""

    is_one: bool = True
    limit: int | None = None
    ended: bool = False
    extension: x509.ExtensionType | None = None
    critical: bool = False


AUTHORITIES: Mapping[str, tuple[Authority, bool]] = {
    "plain": (Authority(), True),
    "none at all": (Authority(is_one=False), False),
    "ended": (Authority(ended=True), False),
    "signs certificates": (Authority(extension=usage(signs=True), critical=True), True),
    "signs none": (Authority(extension=usage(signs=False), critical=True), False),
    "for code": (Authority(extension=purpose(ExtendedKeyUsageOID.CODE_SIGNING)), True),
    "for anything": (
        Authority(extension=purpose(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)),
        True,
    ),
    "for servers": (Authority(extension=purpose(ExtendedKeyUsageOID.SERVER_AUTH)), False),
    "with something unknown": (Authority(extension=UNKNOWN), True),
    "with something unknown and critical": (Authority(extension=UNKNOWN, critical=True), False),
}


class Made(Instance):
    """An instance with such a root and such an intermediate authority."""

    def __init__(self, root: Authority, intermediate: Authority) -> None:
        self._how = {True: root, False: intermediate}
        super().__init__()

    def _authority(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate | None
    ) -> x509.Certificate:
        how = self._how[issuer is None]
        ends = self.now + timedelta(days=-1 if how.ended else 30)
        constraints = x509.BasicConstraints(how.is_one, how.limit)
        builder = (
            self._builder(name, issuer.subject if issuer else name, key)
            .not_valid_before(self.now - timedelta(days=30))
            .not_valid_after(ends)
            .add_extension(constraints, critical=True)
        )
        if how.extension is not None:
            builder = builder.add_extension(how.extension, critical=how.critical)
        return builder.sign(self.root_key, hashes.SHA256())


def holds(instance: Instance, made: Mapping[str, object], digest: str) -> bool:
    root = trust.parse(json.dumps(instance.trusted_root()).encode())
    try:
        verify(bundle.parse(json.dumps(made).encode()), digest, root)
    except NotVerified:
        return False
    return True


@pytest.mark.parametrize("place", ["root", "intermediate"])
@pytest.mark.parametrize("name", AUTHORITIES)
def test_authorities(name: str, place: str) -> None:
    how, expected = AUTHORITIES[name]
    plain = Authority()
    instance = Made(how, plain) if place == "root" else Made(plain, how)
    digest = "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert holds(instance, instance.sign(DATA), digest) is expected


@pytest.mark.parametrize(("limit", "expected"), [(0, False), (1, True)])
def test_how_many_authorities_may_stand_below_one(limit: int, expected: bool) -> None:
    instance = Made(Authority(limit=limit), Authority(limit=0))
    digest = "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert holds(instance, instance.sign(DATA), digest) is expected


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
KEYS: Mapping[str, tuple[Key, tuple[str, ...]]] = {
    "P-256": (ec.generate_private_key(ec.SECP256R1()), ("sha256",)),
    "P-384": (ec.generate_private_key(ec.SECP384R1()), ("sha256", "sha384")),
    "P-521": (ec.generate_private_key(ec.SECP521R1()), ("sha256", "sha512")),
    "secp256k1": (ec.generate_private_key(ec.SECP256K1()), ()),
    "RSA 2048": (rsa.generate_private_key(65537, 2048), ("sha256",)),
    "RSA 1024": (rsa.generate_private_key(65537, 1024), ()),
    "Ed25519": (ed25519.Ed25519PrivateKey.generate(), ()),
}
HASHES: Mapping[str, tuple[hashes.HashAlgorithm, str]] = {
    "sha256": (hashes.SHA256(), "SHA2_256"),
    "sha384": (hashes.SHA384(), "SHA2_384"),
    "sha512": (hashes.SHA512(), "SHA2_512"),
}


def signature(key: Key, algorithm: hashes.HashAlgorithm) -> bytes:
    match key:
        case ec.EllipticCurvePrivateKey():
            return key.sign(DATA, ec.ECDSA(algorithm))
        case rsa.RSAPrivateKey():
            return key.sign(DATA, padding.PKCS1v15(), algorithm)
        case _:
            return key.sign(DATA)


@pytest.mark.parametrize("algorithm", HASHES)
@pytest.mark.parametrize("name", KEYS)
def test_keys(name: str, algorithm: str) -> None:
    """The hash of the curve's size, or SHA-256 as older clients had it."""
    instance = Instance()
    key, fitting = KEYS[name]
    kind, called = HASHES[algorithm]
    digest, signed = hashlib.new(algorithm, DATA).digest(), signature(key, kind)
    certificate = instance.certificate(key)
    body = hashed_record(pem(certificate), signed, digest)
    body["spec"]["data"]["hash"]["algorithm"] = algorithm
    message = {
        "messageDigest": {"algorithm": called, "digest": b64(digest)},
        "signature": b64(signed),
    }
    made = {**instance.bundle(certificate, body, Spoilt()), "messageSignature": message}
    found = holds(instance, made, f"{algorithm}:{digest.hex()}")
    assert found is (algorithm in fitting)
