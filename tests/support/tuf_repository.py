"""A TUF repository as Sigstore publishes its trusted root: signed metadata, and the targets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import Key, Signature, Signer, SSlibKey
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

Said = TypeVar("Said", Root, Timestamp, Snapshot, Targets)
ROLES = ("root", "timestamp", "snapshot", "targets")


class Signing(Signer):
    """An ECDSA key, as Sigstore's repository has them."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        pem = self._private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        keyid = hashlib.sha256(pem).hexdigest()
        self._public = SSlibKey(keyid, "ecdsa", "ecdsa-sha2-nistp256", {"public": pem.decode()})

    @property
    def public_key(self) -> Key:
        return self._public

    def sign(self, payload: bytes) -> Signature:
        value = self._private.sign(payload, ec.ECDSA(hashes.SHA256()))
        return Signature(self._public.keyid, value.hex())

    @classmethod
    def from_priv_key_uri(cls, *_: object, **__: object) -> Signing:
        raise NotImplementedError


@dataclass
class TufRepository:
    """`versions` counts up each time that something is published."""

    targets: Mapping[str, bytes]
    good_for: timedelta = timedelta(days=7)
    key: Signing = field(default_factory=Signing)
    version: int = 1
    anchor_good_for: timedelta = timedelta(days=300)

    @property
    def root(self) -> bytes:
        """What clients trust to begin with."""
        return self._root(1, self.anchor_good_for)

    def _root(self, version: int, good_for: timedelta) -> bytes:
        expires = datetime.now(UTC) + good_for
        made = Root(version=version, expires=expires, consistent_snapshot=True)
        for role in ROLES:
            made.add_key(self.key.public_key, role)
        return self._signed(made)

    def _signed(self, said: Said) -> bytes:
        metadata = Metadata(said)
        metadata.sign(self.key)
        data: bytes = metadata.to_bytes()
        return data

    def files(self) -> dict[str, bytes]:
        """By path, as they are published."""
        ends = datetime.now(UTC) + self.good_for
        number = self.version
        targets = Targets(version=number, expires=ends)
        found: dict[str, bytes] = {}
        for name, data in self.targets.items():
            described = TargetFile.from_data(name, data, ["sha256"])
            targets.targets[name] = described
            found[f"targets/{described.hashes['sha256']}.{name}"] = data
        snapshot = Snapshot(version=number, expires=ends)
        snapshot.meta = {"targets.json": MetaFile(version=number)}
        timestamp = Timestamp(version=number, expires=ends)
        timestamp.snapshot_meta = MetaFile(version=number)
        found[f"{number}.targets.json"] = self._signed(targets)
        found[f"{number}.snapshot.json"] = self._signed(snapshot)
        found["timestamp.json"] = self._signed(timestamp)
        found["2.root.json"] = self._root(2, timedelta(days=300))
        return found
