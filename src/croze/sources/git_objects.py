"""Commits and tags as git stores them, and who signed them.

Which of the two signatures counts: BuildKit `source/git` and `util/gitutil/gitsign`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from croze.errors import CrozeError, InvalidRequest
from croze.sources.git_cli import Git
from croze.sources.git_options import GitCommit, SignaturePolicy
from croze.sources.signatures import pgp, sshsig
from croze.sources.signatures.pgp import BadSignature

_SIGNATURE_HEADERS = (b"gpgsig ", b"gpgsig-sha256 ")
_BEGIN_PGP, _BEGIN_SSH = b"-----BEGIN PGP SIGNATURE-----", b"-----BEGIN SSH SIGNATURE-----"
_REQUIRED = {
    "commit": ("tree", "author", "committer"),
    "tag": ("object", "type", "tag", "tagger"),
}


@dataclass(frozen=True)
class GitObjects:
    """The raw objects behind a reference. `tag` is empty where there is no annotated tag."""

    found: GitCommit
    commit: bytes
    tag: bytes = b""


async def read_objects(git: Git, found: GitCommit) -> GitObjects:
    """`git` has the objects."""
    kind = (await git.run("cat-file", "-t", found.object)).strip()
    if kind == "commit":
        alone = replace(found, commit=found.object)
        return GitObjects(alone, await git.output("cat-file", "commit", found.object))
    if kind != "tag":
        raise CrozeError(f"expected commit or tag object, got {kind}")
    commit = (await git.run("rev-parse", f"{found.object}^{{commit}}")).strip()
    return GitObjects(
        replace(found, commit=commit),
        await git.output("cat-file", "commit", commit),
        await git.output("cat-file", "tag", found.object),
    )


@dataclass(frozen=True)
class Signed:
    """An object taken apart: what is signed, and the signature, which may be empty."""

    kind: str
    data: bytes
    signature: bytes


def parse(raw: bytes) -> Signed:
    """Raises `InvalidRequest`."""
    kind = "tag" if raw.startswith(b"object ") else "commit"
    head, _, message = raw.partition(b"\n\n")
    present = {line.partition(b" ")[0].decode(errors="replace") for line in head.split(b"\n")}
    for name in _REQUIRED[kind]:
        if name not in present:
            raise InvalidRequest(f"invalid {kind} object: missing {name} header")
    if kind == "tag":
        return Signed(kind, *_split_tag(raw))
    kept, signature = _split_headers(head)
    return Signed(kind, kept + b"\n\n" + message, signature)


def _split_tag(raw: bytes) -> tuple[bytes, bytes]:
    """A tag is signed at its end."""
    begins = [raw.find(b"\n" + begin + b"\n") + 1 for begin in (_BEGIN_PGP, _BEGIN_SSH)]
    at = min((begin for begin in begins if begin), default=len(raw))
    return raw[:at], raw[at:]


def _split_headers(head: bytes) -> tuple[bytes, bytes]:
    """A commit is signed by a header, whose later lines begin with a space."""
    kept: list[bytes] = []
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
            kept.append(line)
    return b"\n".join(kept), b"\n".join(signature)


def check_signature(objects: GitObjects, policy: SignaturePolicy) -> None:
    """Raises unless the tag, or else the commit, is signed by the key that the policy names."""
    wrong: CrozeError | None = None
    if objects.tag and not policy.ignore_tag:
        try:
            _check(objects.tag, objects.found.object, policy)
            return
        except CrozeError as err:
            wrong = err
    if policy.require_tag:
        raise wrong or BadSignature("signed tag required but no signed tag found")
    _check(objects.commit, objects.found.commit, policy)


def _check(raw: bytes, object: str, policy: SignaturePolicy) -> None:
    try:
        signed = parse(raw)
    except InvalidRequest as err:
        kind = "tag" if raw.startswith(b"object ") else "commit"
        raise err.wrap(f"failed to parse git {kind} object") from None
    named = hashlib.new("sha256" if len(object) == 64 else "sha1", usedforsecurity=False)
    named.update(f"{signed.kind} {len(raw)}\0".encode() + raw)
    if named.hexdigest() != object:
        raise BadSignature(
            f"{signed.kind} object checksum verification failed: checksum mismatch: "
            f"expected {object}, got {named.hexdigest()}"
        )
    verify(signed, policy)


def verify(signed: Signed, policy: SignaturePolicy) -> None:
    """By whichever kind of signature it has."""
    if not signed.signature:
        raise BadSignature("git object is not signed")
    if signed.signature.startswith(_BEGIN_PGP):
        pgp.verify_detached(
            _once(signed.data),
            signed.signature,
            policy.key,
            reject_expired=policy.reject_expired,
        )
    elif signed.signature.startswith(_BEGIN_SSH):
        sshsig.verify(signed.data, signed.signature, policy.key)
    else:
        raise InvalidRequest("invalid signature format")


def _once(data: bytes) -> Iterator[bytes]:
    yield data
