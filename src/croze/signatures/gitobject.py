"""Commits and tags as git stores them, and who signed them.

Which part is signed, and the words for what is wrong: BuildKit `util/gitutil/gitobject`, `gitsign`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.signatures import pgp, sshsig
from croze.signatures.pgp import BadSignature

_SIGNATURE_HEADERS = (b"gpgsig ", b"gpgsig-sha256 ")
BEGIN_PGP, BEGIN_SSH = b"-----BEGIN PGP SIGNATURE-----", b"-----BEGIN SSH SIGNATURE-----"
_REQUIRED = {
    "commit": ("tree", "author", "committer"),
    "tag": ("object", "type", "tag", "tagger"),
}


class GitObject(Struct, frozen=True):
    """An object taken apart: what it says, what of it is signed, and the signature, which may be
    empty."""

    kind: str
    """`commit` or `tag`."""
    headers: Mapping[str, Sequence[str]]
    message: str
    data: bytes
    signature: bytes

    def header(self, name: str) -> str:
        return next(iter(self.headers.get(name, ())), "")


def parse(raw: bytes) -> GitObject:
    """Take a commit or tag apart. Raises `InvalidRequest`."""
    kind = "tag" if raw.startswith(b"object ") else "commit"
    head, _, message = raw.partition(b"\n\n")
    headers_text, signature = (head, b"") if kind == "tag" else _split_headers(head)
    headers: dict[str, list[str]] = {}
    for line in headers_text.decode(errors="replace").split("\n"):
        name, _, value = line.partition(" ")
        headers.setdefault(name, []).append(value)
    for name in _REQUIRED[kind]:
        if name not in headers:
            raise InvalidRequest(f"invalid {kind} object: missing {name} header")
    data = headers_text + b"\n\n" + message
    if kind == "tag":
        data, signature = _split_tag(raw)
        message = data.partition(b"\n\n")[2]
    text = message.decode(errors="replace").removesuffix("\n")
    return GitObject(kind, headers, text, data, signature)


def _split_tag(raw: bytes) -> tuple[bytes, bytes]:
    """A tag is signed at its end."""
    begins = [raw.find(b"\n" + begin + b"\n") + 1 for begin in (BEGIN_PGP, BEGIN_SSH)]
    at = min((begin for begin in begins if begin), default=len(raw))
    return raw[:at], raw[at:]


def _split_headers(head: bytes) -> tuple[bytes, bytes]:
    """A commit is signed by a header, whose later lines begin with a space."""
    others: list[bytes] = []
    signature: list[bytes] = []
    inside = False
    for line in head.split(b"\n"):
        name = next((each for each in _SIGNATURE_HEADERS if line.startswith(each)), None)
        if name is not None:
            inside = True
            signature.append(line.removeprefix(name))
        elif inside and line.startswith(b" "):
            signature.append(line[1:])
        else:
            inside = False
            others.append(line)
    return b"\n".join(others), b"\n".join(signature)


def check_name(raw: bytes, kind: str, name: str) -> None:
    """See that an object's bytes have this digest. Raises `BadSignature`."""
    if len(name) not in (40, 64):
        raise BadSignature(f"unsupported sha length {len(name)}")
    sums = hashlib.new("sha256" if len(name) == 64 else "sha1", usedforsecurity=False)
    sums.update(f"{kind} {len(raw)}\0".encode() + raw)
    if sums.hexdigest() != name:
        raise BadSignature(f"checksum mismatch: expected {name}, got {sums.hexdigest()}")


def verify(signed: GitObject, key: bytes, *, reject_expired: bool = False) -> None:
    """See that `key` signed an object, by whichever kind of signature it has. Raises
    `BadSignature`, or `InvalidRequest` where something can't be read."""
    if not signed.signature:
        raise BadSignature("git object is not signed")
    if signed.signature.startswith(BEGIN_PGP):
        once = _once(signed.data)
        pgp.verify_detached(once, signed.signature, key, reject_expired=reject_expired)
    elif signed.signature.startswith(BEGIN_SSH):
        sshsig.verify(signed.data, signed.signature, key)
    else:
        raise InvalidRequest("invalid signature format")


def _once(data: bytes) -> Iterator[bytes]:
    yield data
