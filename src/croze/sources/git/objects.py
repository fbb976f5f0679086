"""The commit and the tag behind a reference, and which of their signatures counts.

Source: BuildKit `source/git`.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from croze.errors import CrozeError, InvalidRequest
from croze.sources.git.cli import Git
from croze.sources.git.options import SignaturePolicy
from croze.sources.resolutions import GitCommit


class GitObjects(Struct, frozen=True):
    """The raw objects behind a reference. `tag` is empty where there is no annotated tag."""

    resolved: GitCommit
    commit: bytes
    tag: bytes = b""


async def read_objects(git: Git, resolved: GitCommit) -> GitObjects:
    """Read the commit and the tag out of the repository, which has them."""
    kind = (await git.run("cat-file", "-t", resolved.object)).strip()
    if kind == "commit":
        alone = replace(resolved, commit=resolved.object)
        return GitObjects(alone, await git.output("cat-file", "commit", resolved.object))
    if kind != "tag":
        raise CrozeError(f"expected commit or tag object, got {kind}")
    commit = (await git.run("rev-parse", f"{resolved.object}^{{commit}}")).strip()
    return GitObjects(
        replace(resolved, commit=commit),
        await git.output("cat-file", "commit", commit),
        await git.output("cat-file", "tag", resolved.object),
    )


def check_signature(objects: GitObjects, policy: SignaturePolicy) -> None:
    """See that the tag, or else the commit, is signed by the key that the policy names. Raises
    `BadSignature` or `InvalidRequest`."""
    from croze.signatures.pgp import BadSignature  # most builds have nothing to verify

    wrong: CrozeError | None = None
    if objects.tag and not policy.ignore_tag:
        try:
            _check(objects.tag, objects.resolved.object, policy)
            return
        except CrozeError as err:
            wrong = err
    if policy.require_tag:
        raise wrong or BadSignature("signed tag required but no signed tag found")
    _check(objects.commit, objects.resolved.commit, policy)


def _check(raw: bytes, object: str, policy: SignaturePolicy) -> None:
    from croze.signatures import gitobject
    from croze.signatures.pgp import BadSignature

    try:
        signed = gitobject.parse(raw)
    except InvalidRequest as err:
        kind = "tag" if raw.startswith(b"object ") else "commit"
        raise err.wrap(f"failed to parse git {kind} object") from None
    try:
        gitobject.check_name(raw, signed.kind, object)
    except BadSignature as err:
        raise err.wrap(f"{signed.kind} object checksum verification failed") from None
    gitobject.verify(signed, policy.key, reject_expired=policy.reject_expired)
