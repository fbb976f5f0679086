"""Git sources."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from datetime import UTC, datetime, timedelta, timezone

from croze.api import gateway_pb2
from croze.errors import CrozeError
from croze.llb import giturl
from croze.policy.documents.document import InputDocument, given
from croze.signatures import gitobject, pgp, sshsig
from croze.signatures.gitobject import GitObject

_COMMIT = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_TRANSPORT = re.compile(r"(?:https?|ssh|git)://|[a-zA-Z0-9-_]+@[a-zA-Z0-9-.]+:", re.IGNORECASE)
FULL_URL = "git.fullurl"


def git_document(response: gateway_pb2.ResolveSourceMetaResponse) -> InputDocument:
    """The document of a git source. Raises `CrozeError` for what is no address, and for objects
    that aren't what their names say."""
    source = response.Source
    url = giturl.parse_git_url(_with_scheme(source.identifier.partition("://")[2]))
    subdir = posixpath.normpath(url.subdir) if url.subdir else ""
    ref = url.ref
    document = InputDocument("git")
    members: dict[str, object] = {"subDir": "" if subdir in ("/", ".") else subdir}
    full = source.attrs.get(FULL_URL, "")
    if full:
        full = _with_scheme(full)
        url = giturl.parse_git_url(full)
    members |= {"schema": url.scheme, "host": url.host, "remote": url.remote, "fullURL": full}
    members |= _named(ref)
    is_commit = bool(_COMMIT.fullmatch(ref))
    if is_commit:
        members |= {"isCommitRef": True, "checksum": ref, "commitChecksum": ref}
    if response.HasField("Git"):
        members |= _resolved(response.Git, document)
    else:
        if is_commit or ref.startswith(("refs/tags/", "refs/heads/")):
            members["ref"] = ref
        else:
            document.unknown += ["git.tagName", "git.branch", "git.ref"]
        if not is_commit:
            names = ("checksum", "isAnnotatedTag", "commitChecksum", "isSHA256")
            document.unknown += [f"git.{name}" for name in names]
        document.unknown += ["git.tag", "git.commit"]
    members["isSHA256"] = len(str(members.get("checksum", ""))) == 64
    document.fields = given({name: members.get(name) for name in _ORDER})
    return document


_ORDER = (
    *("schema", "host", "remote", "fullURL", "tagName", "branch", "ref", "subDir", "isCommitRef"),
    *("isSHA256", "checksum", "commitChecksum", "isAnnotatedTag", "tag", "commit"),
)


def _with_scheme(address: str) -> str:
    return address if _TRANSPORT.match(address) else f"https://{address}"


def _named(ref: str) -> dict[str, object]:
    return {
        "tagName": ref.removeprefix("refs/tags/") if ref.startswith("refs/tags/") else "",
        "branch": ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else "",
    }


def _resolved(
    git: gateway_pb2.ResolveSourceGitResponse, document: InputDocument
) -> dict[str, object]:
    commit = git.CommitChecksum or git.Checksum
    named = {key: value for key, value in _named(git.Ref).items() if value}
    members: dict[str, object] = {
        "ref": git.Ref,
        **named,
        "checksum": git.Checksum,
        "commitChecksum": commit,
        "isAnnotatedTag": git.Checksum != commit,
    }
    if not git.CommitObject:
        document.unknown += ["git.commit", "git.tag"]
        return members
    document.commit = _parsed(git.CommitObject, "commit", commit)
    members["commit"] = _commit(document.commit)
    if git.TagObject:
        document.tag = _parsed(git.TagObject, "tag", git.Checksum)
        members["tag"] = _tag(document.tag)
    return members


def _parsed(raw: bytes, kind: str, name: str) -> GitObject:
    parsed = gitobject.parse(raw)
    if parsed.kind != kind:
        raise CrozeError(f"not a {kind} object")
    gitobject.check_name(raw, kind, name)
    return parsed


def _commit(git: GitObject) -> dict[str, object]:
    return given(
        {
            "tree": git.header("tree"),
            "parents": list(git.headers.get("parent", ())),
            "author": _actor(git.header("author")),
            "committer": _actor(git.header("committer")),
            "message": git.message,
            **_signature(git),
        }
    )


def _tag(git: GitObject) -> dict[str, object]:
    return given(
        {
            "object": git.header("object"),
            "type": git.header("type"),
            "tag": git.header("tag"),
            "tagger": _actor(git.header("tagger")),
            "message": git.message,
            **_signature(git),
        }
    )


def _actor(text: str) -> dict[str, object]:
    """`Name <mail> seconds zone`; what can't be read is a name."""
    text = text.strip()
    start, end = text.rfind("<"), text.rfind(">")
    if start < 0 or end < start:
        return given({"name": text})
    actor: dict[str, object] = {
        "name": text[:start].strip(),
        "email": text[start + 1 : end].strip(),
    }
    words = text[end + 1 :].split()
    if len(words) >= 2 and re.fullmatch(r"[-+]\d{4}", words[1]):
        actor["when"] = _when(words[0], words[1])
    return given(actor)


def _when(seconds: str, zone: str) -> str:
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
    try:
        where = timezone(-offset if zone[0] == "-" else offset)
        moment = datetime.fromtimestamp(int(seconds), UTC).astimezone(where)
    except (ValueError, OverflowError, OSError):
        return ""
    return moment.isoformat().replace("+00:00", "Z")


def _signature(git: GitObject) -> dict[str, object]:
    """Who is said to have signed it; nothing that can't be read."""
    try:
        if git.signature.startswith(gitobject.BEGIN_PGP):
            signature = pgp.parse(git.signature)
            issuer = signature.issuer
            key = f"{issuer:016x}" if issuer is not None else ""
            return {"pgpSignature": given({"version": 4, "keyID": key})}
        if git.signature.startswith(gitobject.BEGIN_SSH):
            public = sshsig.parse(git.signature).key
            print_ = base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")
            return {"sshSignature": {"version": 1, "pubKey": f"SHA256:{print_}"}}
    except CrozeError:
        pass
    return {}
