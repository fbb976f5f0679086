"""A Sigstore instance of the tests' own: an authority, a log of certificates, a log of signatures.

It makes bundles as `cosign` and GitHub make them (Rekor's first version: a promise with a time, and
a proof), in the JSON that is stored, and spoilt on request. Nothing of it is Croze's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from tests.support.keys import (
    b64,
    canonical,
    loaded_key,
    named,
    pem,
    pem_key,
    pem_public,
    spki,
    utf8,
)

SLSA = "https://slsa.dev/provenance/v1"
REPOSITORY = "https://github.com/acme/app"
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1"
ACTIONS = "https://token.actions.githubusercontent.com"
GITHUB: Mapping[int, str] = {
    8: ACTIONS,
    9: WORKFLOW,
    10: "a" * 40,
    11: "github-hosted",
    12: REPOSITORY,
    13: "a" * 40,
    14: "refs/tags/v1",
}
"""What Fulcio writes into a certificate for a workflow: numbers of its extensions."""
_FULCIO = "1.3.6.1.4.1.57264.1"
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_P256 = ec.SECP256R1()


@dataclass
class Spoilt:
    """What is wrong with what is made next; nothing by default."""

    shown: bool = True
    promised: bool = True
    proven: bool = True
    expired: bool = False
    code_signing: bool = True
    logged_digest: bytes | None = None
    tree_root: bytes | None = None


@dataclass
class Instance:
    name: str = "sigstore-intermediate"
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    keys: tuple[ec.EllipticCurvePrivateKey, ...] = field(
        default_factory=lambda: tuple(ec.generate_private_key(_P256) for _ in range(4))
    )

    def __post_init__(self) -> None:
        self.root_key, self.key, self.ct_key, self.log_key = self.keys
        self.root = self._authority(named("sigstore"), self.root_key, None)
        self.intermediate = self._authority(named(self.name), self.key, self.root)

    def _authority(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate | None
    ) -> x509.Certificate:
        signer = self.root_key
        return (
            self._builder(name, issuer.subject if issuer else name, key)
            .not_valid_before(self.now - timedelta(days=30))
            .not_valid_after(self.now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer, hashes.SHA256())
        )

    def _builder(
        self, name: x509.Name, issuer: x509.Name, key: CertificateIssuerPrivateKeyTypes
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
        )

    # -- kept for other processes --

    def save(self, file: Path) -> None:
        """Its keys, for who signs in another process."""
        keys = (self.root_key, self.key, self.ct_key, self.log_key)
        file.write_text(json.dumps([self.name, *(pem_key(key) for key in keys)]))

    @classmethod
    def saved(cls, file: Path) -> Instance:
        name, *keys = json.loads(file.read_text())
        return cls(name, keys=tuple(loaded_key(key) for key in keys))

    # -- certificates --

    def certificate(
        self,
        key: CertificateIssuerPrivateKeyTypes,
        fields: Mapping[int, str] = GITHUB,
        san: str = WORKFLOW,
        spoilt: Spoilt | None = None,
    ) -> x509.Certificate:
        spoilt = spoilt or Spoilt()
        begins = self.now - timedelta(minutes=1 if not spoilt.expired else 60)
        usage = (
            ExtendedKeyUsageOID.CODE_SIGNING
            if spoilt.code_signing
            else ExtendedKeyUsageOID.SERVER_AUTH
        )
        builder = (
            self._builder(x509.Name([]), self.intermediate.subject, key)
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(minutes=10))
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(san)]), critical=True
            )
        )
        for number, value in fields.items():
            oid = ObjectIdentifier(f"{_FULCIO}.{number}")
            raw = utf8(value) if number >= 8 else value.encode()
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, raw), critical=False)
        if not spoilt.shown:
            return builder.sign(self.key, hashes.SHA256())
        shown = builder.sign(self.key, hashes.SHA256()).tbs_certificate_bytes
        scts = x509.UnrecognizedExtension(_SCT_LIST, self._shown(shown))
        return builder.add_extension(scts, critical=False).sign(self.key, hashes.SHA256())

    def _shown(self, certificate: bytes) -> bytes:
        """A list of one timestamp that the certificate was shown to the log (RFC 6962)."""
        moment = (int(self.now.timestamp()) * 1000).to_bytes(8, "big")
        data = b"\0\0" + moment + b"\0\1" + hashlib.sha256(spki(self.key)).digest()
        data += len(certificate).to_bytes(3, "big") + certificate + b"\0\0"
        signature = self.ct_key.sign(data, ec.ECDSA(hashes.SHA256()))
        log = hashlib.sha256(spki(self.ct_key)).digest()
        sct = b"\0" + log + moment + b"\0\0" + b"\4\3" + len(signature).to_bytes(2, "big")
        sct += signature
        listed = len(sct).to_bytes(2, "big") + sct
        found = len(listed).to_bytes(2, "big") + listed
        head = bytes([len(found)]) if len(found) < 128 else b"\x81" + bytes([len(found)])
        return b"\x04" + head + found

    # -- bundles --

    def sign(
        self,
        data: bytes,
        fields: Mapping[int, str] = GITHUB,
        san: str = WORKFLOW,
        spoilt: Spoilt | None = None,
    ) -> dict[str, Any]:
        """A bundle that says who signed `data`, as `cosign sign-blob` makes it."""
        spoilt = spoilt or Spoilt()
        key = ec.generate_private_key(_P256)
        certificate = self.certificate(key, fields, san, spoilt)
        digest = hashlib.sha256(data).digest()
        signature = key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        body = hashed_record(pem(certificate), signature, spoilt.logged_digest or digest)
        message = {
            "messageDigest": {"algorithm": "SHA2_256", "digest": b64(digest)},
            "signature": b64(signature),
        }
        return self.bundle(certificate, body, spoilt) | {"messageSignature": message}

    def attest(
        self,
        subjects: Mapping[str, str],
        predicate_type: str = SLSA,
        fields: Mapping[int, str] = GITHUB,
        san: str = WORKFLOW,
        spoilt: Spoilt | None = None,
    ) -> dict[str, Any]:
        """A bundle with a statement on files: names and SHA-256 digests in hexadecimal."""
        spoilt = spoilt or Spoilt()
        key = ec.generate_private_key(_P256)
        certificate = self.certificate(key, fields, san, spoilt)
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": n, "digest": {"sha256": d}} for n, d in subjects.items()],
            "predicateType": predicate_type,
            "predicate": {"buildDefinition": {}},
        }
        payload = json.dumps(statement).encode()
        kind = "application/vnd.in-toto+json"
        encoded = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
        signature = key.sign(encoded, ec.ECDSA(hashes.SHA256()))
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
                "payloadHash": {
                    "algorithm": "sha256",
                    "value": hashlib.sha256(payload).hexdigest(),
                },
                "signatures": [{"signature": b64(signature), "verifier": b64(pem(certificate))}],
            },
        }
        envelope = {
            "payload": b64(payload),
            "payloadType": kind,
            "signatures": [{"sig": b64(signature)}],
        }
        return self.bundle(certificate, body, spoilt) | {"dsseEnvelope": envelope}

    def bundle(self, certificate: x509.Certificate, body: object, spoilt: Spoilt) -> dict[str, Any]:
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self.entry(canonical(body), spoilt)],
            },
        }

    def entry(self, body: bytes, spoilt: Spoilt | None = None) -> dict[str, Any]:
        """An entry of the log: the second of two in its tree."""
        spoilt = spoilt or Spoilt()
        log = hashlib.sha256(spki(self.log_key)).digest()
        moment = int(self.now.timestamp())
        promised = {
            "body": b64(body),
            "integratedTime": moment,
            "logID": log.hex(),
            "logIndex": 1,
        }
        promise = self.log_key.sign(canonical(promised), ec.ECDSA(hashes.SHA256()))
        first = hashlib.sha256(b"\0first").digest()
        leaf = hashlib.sha256(b"\0" + body).digest()
        root = spoilt.tree_root or hashlib.sha256(b"\1" + first + leaf).digest()
        kind = json.loads(body)
        made: dict[str, Any] = {
            "logIndex": "1",
            "logId": {"keyId": b64(log)},
            "kindVersion": {"kind": kind["kind"], "version": kind["apiVersion"]},
            "integratedTime": str(moment),
            "canonicalizedBody": b64(body),
        }
        if spoilt.promised:
            made["inclusionPromise"] = {"signedEntryTimestamp": b64(promise)}
        if spoilt.proven:
            made["inclusionProof"] = {
                "logIndex": "1",
                "rootHash": b64(root),
                "treeSize": "2",
                "hashes": [b64(first)],
                "checkpoint": {"envelope": self._checkpoint(root)},
            }
        return made

    def _checkpoint(self, root: bytes) -> str:
        text = f"rekor.test - 1\n2\n{b64(root)}\n"
        signature = self.log_key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        hint = hashlib.sha256(spki(self.log_key)).digest()[:4]
        return f"{text}\n— rekor.test {b64(hint + signature)}\n"

    # -- cosign's older form --

    def annotations(
        self, payload: bytes, own: ec.EllipticCurvePrivateKey | None = None
    ) -> dict[str, str]:
        """Of the layer that `payload` is, as `cosign sign` writes them without bundles; with a key
        of one's own there is no certificate."""
        key = own or ec.generate_private_key(_P256)
        verifier = pem(self.certificate(key)) if own is None else pem_public(key)
        digest = hashlib.sha256(payload).digest()
        signature = key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        entry = self.entry(canonical(hashed_record(verifier, signature, digest)))
        bundle = {
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": {
                "body": entry["canonicalizedBody"],
                "integratedTime": int(entry["integratedTime"]),
                "logIndex": int(entry["logIndex"]),
                "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
            },
        }
        certificate = {"dev.sigstore.cosign/certificate": verifier.decode()} if own is None else {}
        return {
            "dev.cosignproject.cosign/signature": b64(signature),
            "dev.sigstore.cosign/bundle": json.dumps(bundle),
            **certificate,
        }

    # -- trust --

    def trusted_root(self) -> dict[str, Any]:
        valid = {"start": (self.now - timedelta(days=30)).isoformat().replace("+00:00", "Z")}

        def log(key: ec.EllipticCurvePrivateKey, url: str) -> dict[str, Any]:
            return {
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": b64(spki(key)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": valid,
                },
                "logId": {"keyId": b64(hashlib.sha256(spki(key)).digest())},
            }

        chain = [self.intermediate, self.root]
        certificates = [{"rawBytes": b64(each.public_bytes(Encoding.DER))} for each in chain]
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log_key, "https://rekor.test")],
            "ctlogs": [log(self.ct_key, "https://ct.test")],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "sigstore.dev", "commonName": "sigstore"},
                    "uri": "https://fulcio.test",
                    "certChain": {"certificates": certificates},
                    "validFor": valid,
                }
            ],
            "timestampAuthorities": [],
        }


def hashed_record(verifier: bytes, signature: bytes, digest: bytes) -> dict[str, Any]:
    return {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
            "signature": {
                "content": b64(signature),
                "publicKey": {"content": b64(verifier)},
            },
        },
    }


def main(keys: str) -> None:
    """Sign what comes in, as `cosign sign-blob --bundle /dev/stdout -` does."""
    instance = Instance.saved(Path(keys))
    print(json.dumps(instance.sign(sys.stdin.buffer.read())))


if __name__ == "__main__":
    main(sys.argv[1])
