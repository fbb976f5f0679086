"""Signatures made by GnuPG."""

from __future__ import annotations

import pytest

from croze.errors import CrozeError, InvalidRequest
from croze.signatures.pgp import BadSignature, parse, verify_detached
from tests.signatures.gnupg import GnuPG

DATA = b"what is signed\nin two lines\n"


def check(
    signature: bytes, keys: bytes, data: bytes = DATA, *, reject_expired: bool = False
) -> None:
    half = len(data) // 2
    verify_detached(
        iter([data[:half], data[half:]]), signature, keys, reject_expired=reject_expired
    )


@pytest.mark.parametrize("algorithm", ["ed25519", "rsa2048", "nistp256", "nistp384", "nistp521"])
def test_what_is_signed_is_what_was_signed(gnupg: GnuPG, algorithm: str) -> None:
    user = f"{algorithm}@example.com"
    key = gnupg.key(user, algorithm)
    other = gnupg.key(f"other-{user}", algorithm)
    signature = gnupg.sign(user, DATA)
    check(signature, key)
    check(signature, other + key)
    with pytest.raises(BadSignature, match="verification failure"):
        check(signature, key, DATA + b"!")
    with pytest.raises(
        BadSignature, match=r"signature by [0-9A-F]+: openpgp: signature made by unk"
    ):
        check(signature, other)


def test_by_a_subkey_and_by_a_secret_key_block(gnupg: GnuPG) -> None:
    gnupg.run("--quick-generate-key", "sub@example.com", "ed25519", "cert", "never")
    fingerprint = gnupg.run("--list-keys", "--with-colons", "sub@example.com").decode()
    name = next(line for line in fingerprint.splitlines() if line.startswith("fpr")).split(":")[9]
    gnupg.run("--quick-add-key", name, "ed25519", "sign", "never")
    gnupg.run("--quick-add-key", name, "cv25519", "encr", "never")
    signature = gnupg.sign("sub@example.com", DATA)
    check(signature, gnupg.export("sub@example.com"))
    check(signature, gnupg.run("--armor", "--export-secret-keys", "sub@example.com"))


def test_a_text_signature_ends_lines_as_in_mail(gnupg: GnuPG) -> None:
    key = gnupg.key("text@example.com")
    signature = gnupg.run(
        *("--armor", "--local-user", "text@example.com", "--textmode", "--detach-sign"),
        data=DATA,
    )
    assert parse(signature).kind == 1
    check(signature, key, DATA.replace(b"\n", b"\r\n"))
    check(signature, key)


def test_a_weak_hash(gnupg: GnuPG) -> None:
    key = gnupg.key("weak@example.com", "rsa2048")
    with pytest.raises(BadSignature, match="rejecting weak/unknown hash: SHA-1"):
        check(gnupg.sign("weak@example.com", DATA, "--digest-algo=SHA1"), key)


def test_a_short_key(gnupg: GnuPG) -> None:
    key = gnupg.key("short@example.com", "rsa1024")
    with pytest.raises(BadSignature, match="RSA key too short: 1024 bits"):
        check(gnupg.sign("short@example.com", DATA), key)


def test_a_key_that_has_expired_since(gnupg: GnuPG) -> None:
    key = gnupg.key("old@example.com", expires="20200201T000000", now="20200101T000000!")
    signature = gnupg.sign("old@example.com", DATA, "--faked-system-time=20200115T000000!")
    check(signature, key)
    with pytest.raises(BadSignature, match="key expired"):
        check(signature, key, reject_expired=True)


def test_a_signature_that_was_good_for_a_day(gnupg: GnuPG) -> None:
    key = gnupg.key("day@example.com", now="20200101T000000!")
    made = ("--faked-system-time=20200115T000000!", "--default-sig-expire=1d")
    signature = gnupg.sign("day@example.com", DATA, *made)
    check(signature, key)
    with pytest.raises(BadSignature, match="openpgp: signature expired"):
        check(signature, key, reject_expired=True)


def test_a_revoked_key(gnupg: GnuPG) -> None:
    gnupg.key("gone@example.com")
    signature = gnupg.sign("gone@example.com", DATA)
    revocation = next((gnupg.home / "openpgp-revocs.d").glob("*.rev"))
    listing = gnupg.run("--list-keys", "--with-colons", "gone@example.com").decode()
    name = next(line for line in listing.splitlines() if line.startswith("fpr")).split(":")[9]
    revocation = gnupg.home / "openpgp-revocs.d" / f"{name}.rev"
    gnupg.run("--import", data=revocation.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))
    with pytest.raises(BadSignature, match="revoked"):
        check(signature, gnupg.export("gone@example.com"))


@pytest.mark.parametrize(
    "text", [b"", b"-----BEGIN PGP SIGNATURE-----\n\n!!\n-----END PGP SIGNATURE-----"]
)
def test_no_signature(text: bytes) -> None:
    with pytest.raises(InvalidRequest):
        check(text, b"")


def test_no_keys(gnupg: GnuPG) -> None:
    gnupg.key("here@example.com")
    signature = gnupg.sign("here@example.com", DATA)
    with pytest.raises(InvalidRequest, match="failed to read armored public key"):
        check(signature, b"nothing")
    with pytest.raises(InvalidRequest, match="expected public or private key block, got: PGP SIG"):
        check(signature, signature)


def test_garbage_is_refused_and_not_crashed_on(gnupg: GnuPG) -> None:
    key = gnupg.key("fuzz@example.com")
    signature = gnupg.sign("fuzz@example.com", DATA)
    body = bytearray(signature)
    lines = signature.splitlines()
    start = signature.index(lines[2])
    for at in range(start, start + len(lines[2])):
        for byte in (b"A", b"/"):
            changed = bytes(body[:at]) + byte + bytes(body[at + 1 :])
            if changed != signature:
                with pytest.raises(CrozeError):
                    check(changed, key)
