"""Signatures made by OpenSSH."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.errors import InvalidRequest
from croze.signatures.pgp import BadSignature
from croze.signatures.sshsig import verify
from tests.signatures.gnupg import ssh_key, ssh_sign

DATA = b"what is signed\n"


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_what_is_signed_is_what_was_signed(keys: Path, kind: str) -> None:
    key, other = ssh_key(keys, kind), ssh_key(keys, kind, "other")
    public = key.with_suffix(".pub").read_bytes()
    for hash in ("sha256", "sha512"):
        signature = ssh_sign(key, DATA, options=("-O", f"hashalg={hash}"))
        verify(DATA, signature, public)
        verify(DATA, signature, b'# mine\nno-pty,command="x y" ' + public)
        with pytest.raises(BadSignature, match="ssh: signature did not verify"):
            verify(DATA + b"!", signature, public)
        with pytest.raises(BadSignature, match="public key does not match"):
            verify(DATA, signature, other.with_suffix(".pub").read_bytes())


def test_for_something_else(keys: Path) -> None:
    key = ssh_key(keys, "ed25519")
    public = key.with_suffix(".pub").read_bytes()
    with pytest.raises(BadSignature, match='unexpected SSH signature namespace: "file"'):
        verify(DATA, ssh_sign(key, DATA, namespace="file"), public)


def test_no_key_and_no_signature(keys: Path) -> None:
    key = ssh_key(keys, "ed25519")
    with pytest.raises(InvalidRequest, match="ssh: no key found"):
        verify(DATA, ssh_sign(key, DATA), b"ssh-ed25519 nonsense")
    with pytest.raises(InvalidRequest, match="failed to decode ssh signature PEM block"):
        verify(DATA, b"-----BEGIN SSH SIGNATURE-----\n", key.with_suffix(".pub").read_bytes())
