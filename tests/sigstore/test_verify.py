"""Bundles of an instance of our own: what holds, and each thing that may be wrong with them."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from croze.sigstore import bundle, trust
from croze.sigstore.errors import NotVerified
from croze.sigstore.kinds import BUNDLE, CheckedSignature
from croze.sigstore.verify import VerifiedSignature, verify
from tests.support.sigstore import ACTIONS, GITHUB, REPOSITORY, SLSA, WORKFLOW, Instance, Spoilt

DATA = b"cache index"
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
ANOTHER = "sha256:" + hashlib.sha256(b"another").hexdigest()


@pytest.fixture(scope="module")
def instance() -> Instance:
    return Instance()


def checked(instance: Instance, made: dict[str, Any], digest: str = DIGEST) -> VerifiedSignature:
    root = trust.parse(json.dumps(instance.trusted_root()).encode())
    return verify(bundle.parse(json.dumps(made).encode()), digest, root)


def test_a_message(instance: Instance) -> None:
    found = checked(instance, instance.sign(DATA))
    assert found.signer["subjectAlternativeName"] == WORKFLOW
    assert found.signer["issuer"] == ACTIONS
    assert found.signer["certificateIssuer"] == "CN=sigstore-intermediate,O=sigstore.dev"
    (witness,) = found.witnesses
    assert (witness.kind, witness.uri, witness.moment) == (
        "Tlog",
        "https://rekor.test",
        instance.now,
    )
    assert CheckedSignature(found, BUNDLE).kind == "self-signed-github-repo"


def test_a_statement(instance: Instance) -> None:
    subjects = {"other": "0" * 64, "file": DIGEST.removeprefix("sha256:")}
    found = checked(instance, instance.attest(subjects))
    assert found.predicate_type == SLSA
    with pytest.raises(NotVerified, match="does not match any digest in statement"):
        checked(instance, instance.attest(subjects), ANOTHER)


SPOILT: dict[str, tuple[Spoilt, str]] = {
    "a certificate that no log knows": (Spoilt(shown=False), "signed certificate timestamp"),
    "a certificate that had expired": (Spoilt(expired=True), "outside certificate validity"),
    "a certificate for servers": (Spoilt(code_signing=False), "no trusted authority"),
    "another tree": (Spoilt(tree_root=b"0" * 32), "calculated root does not match"),
    "an entry of something else": (Spoilt(logged_digest=b"0" * 32), "does not match artifact"),
    "no time": (Spoilt(promised=False), "no verified time"),
    "no proof": (Spoilt(proven=False), "inclusion proof missing"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt(instance: Instance, name: str) -> None:
    spoilt, message = SPOILT[name]
    with pytest.raises(NotVerified, match=message):
        checked(instance, instance.sign(DATA, spoilt=spoilt))


def test_of_something_else(instance: Instance) -> None:
    with pytest.raises(NotVerified, match="artifact does not match digest"):
        checked(instance, instance.sign(DATA), ANOTHER)


def test_of_another_instance(instance: Instance) -> None:
    with pytest.raises(NotVerified, match="not enough verified log entries"):
        checked(instance, Instance().sign(DATA))


def _entry(made: dict[str, Any]) -> dict[str, Any]:
    entries: list[dict[str, Any]] = made["verificationMaterial"]["tlogEntries"]
    return entries[0]


def _twice(made: dict[str, Any]) -> None:
    made["verificationMaterial"]["tlogEntries"] *= 2


def _many(made: dict[str, Any]) -> None:
    made["verificationMaterial"]["tlogEntries"] *= 33


def _by_key(made: dict[str, Any]) -> None:
    made["verificationMaterial"]["publicKey"] = {"hint": "mine"}
    del made["verificationMaterial"]["certificate"]


def _later(made: dict[str, Any]) -> None:
    _entry(made)["integratedTime"] = str(int(_entry(made)["integratedTime"]) + 60)


def _beyond(made: dict[str, Any]) -> None:
    _entry(made)["integratedTime"] = str(1 << 62)


def _extra(made: dict[str, Any]) -> None:
    made["extra"] = 1


def _padded(made: dict[str, Any]) -> None:
    """The same number in other bytes: DER has one form alone."""
    signature = base64.b64decode(made["messageSignature"]["signature"])
    longer = b"\x30\x81" + signature[1:]
    made["messageSignature"]["signature"] = base64.b64encode(longer).decode()


def _emptied(made: dict[str, Any]) -> None:
    made["verificationMaterial"]["tlogEntries"] = []


def _odd_body(made: dict[str, Any]) -> None:
    _entry(made)["canonicalizedBody"] = base64.b64encode(b"[" * 100_000).decode()


CHANGES: dict[Callable[[dict[str, Any]], None], str] = {
    _twice: "duplicate tlog entries",
    _many: "too many tlog entries",
    _by_key: "prove no identity",
    _later: "not enough verified log entries",
    _beyond: "no time that can be",
    _extra: "can't be read",
    _padded: "signature does not match",
    _emptied: "not enough verified log entries",
    _odd_body: "can't be read",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__)
def test_changed(instance: Instance, change: Callable[[dict[str, Any]], None]) -> None:
    made = copy.deepcopy(instance.sign(DATA))
    change(made)
    with pytest.raises(NotVerified, match=CHANGES[change]):
        checked(instance, made)


def test_hostile_texts() -> None:
    deep = b'{"mediaType":' + b"[" * 10_000
    entries = b'{"verificationMaterial":{"tlogEntries":[' + b",".join([b"{}"] * 1_000_000) + b"]}}"
    for data in (deep, entries, b"", b"\xff", b"[]", b"null", b'"text"', b" " * (33 << 20)):
        with pytest.raises(NotVerified):
            bundle.parse(data)
    for data in (deep, b"{}", b"[]"):
        with pytest.raises(NotVerified):
            trust.parse(data)


def test_every_bit_counts(instance: Instance) -> None:
    """A bit changed anywhere in the certificate, the signature, the entry or its promise."""
    made = instance.sign(DATA)
    material = made["verificationMaterial"]
    entry = _entry(made)
    places: list[tuple[dict[str, Any], str]] = [
        (material["certificate"], "rawBytes"),
        (made["messageSignature"], "signature"),
        (made["messageSignature"]["messageDigest"], "digest"),
        (entry, "canonicalizedBody"),
        (entry["inclusionPromise"], "signedEntryTimestamp"),
        (entry["inclusionProof"], "rootHash"),
        (entry["logId"], "keyId"),
    ]
    for holder, name in places:
        good = holder[name]
        raw = base64.b64decode(good)
        for at in range(0, len(raw), max(1, len(raw) // 12)):
            changed = bytearray(raw)
            changed[at] ^= 1
            holder[name] = base64.b64encode(changed).decode()
            with pytest.raises(NotVerified):
                checked(instance, made)
        holder[name] = good
    checked(instance, made)


KINDS: dict[str, tuple[dict[int, str], str]] = {
    "self-signed-github-repo": (dict(GITHUB), WORKFLOW),
    "docker-github-builder": (
        {**GITHUB, 9: "https://github.com/docker/github-builder/.github/workflows/b.yml@v1"},
        "https://github.com/docker/github-builder/.github/workflows/b.yml@v1",
    ),
    "self-signed": ({8: "https://accounts.google.com"}, "https://me"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(instance: Instance, kind: str) -> None:
    fields, san = KINDS[kind]
    found = CheckedSignature(checked(instance, instance.sign(DATA, fields, san)), BUNDLE)
    assert found.kind == kind
    document = found.document()
    assert document["type"] == "bundle-v0.3"
    assert isinstance(document["signer"], dict)
    assert document["signer"]["subjectAlternativeName"] == san


def test_an_unknown_authority_is_not_trusted() -> None:
    own = Instance(name="acme")
    found = CheckedSignature(checked(own, own.sign(DATA)), BUNDLE)
    assert found.kind == "untrusted"
    assert found.verified.signer["sourceRepositoryURI"] == REPOSITORY
