"""What git source ops say, and which commit a remote's listing makes of it."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from croze.errors import CrozeError, InvalidRequest, NotFound, Unsupported
from croze.sources.contract import SourceRequest
from croze.sources.git_cli import is_commit

_TRANSPORT = re.compile(r"(?:https?|ssh|git)://|[^/:@]+@[^/:]+:")
_UNSUPPORTED = ("git.bundle", "git.checkoutbundle", "git.sig.pubkey", "git.sig.requiresignedtag")


@dataclass(frozen=True)
class GitOptions:
    """What a git source op says."""

    remote: str
    ref: str = ""
    subdir: str = ""
    keep_git_dir: bool = False
    checksum: str = ""
    skip_submodules: bool = False
    mtime: str = ""
    auth_header_secret: str = ""
    auth_token_secret: str = ""
    known_hosts: str = ""
    ssh_id: str = ""
    fetch_by_commit: bool = False

    @property
    def shown(self) -> str:
        """The remote without a password in it."""
        return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:xxxxx@", self.remote)


@dataclass(frozen=True)
class GitCommit:
    """What a reference names now: `object` may be an annotated tag, of which `commit` is the
    commit. `ref` is the full name, or the digest that was asked for."""

    ref: str
    object: str
    commit: str


def parse_options(request: SourceRequest) -> GitOptions:
    """Read a source op. Raises `InvalidRequest`."""
    attrs = request.attrs
    found = next((key for key in _UNSUPPORTED if attrs.get(key)), None)
    if found is not None:
        raise Unsupported(f"{found} is not supported")
    address, _, fragment = request.identifier.partition("://")[2].partition("#")
    ref, _, subdir = fragment.partition(":")
    remote = attrs.get("git.fullurl", "") or address
    if not _TRANSPORT.match(remote):
        remote = f"https://{remote}"
    if ref.startswith("-"):
        raise InvalidRequest(f"invalid git ref: {ref}")
    checksum = attrs.get("git.checksum", "")
    if checksum and not re.fullmatch("[a-fA-F0-9]+", checksum):
        raise InvalidRequest(f"invalid checksum {checksum} for Git URL, expected hex commit hash")
    return GitOptions(
        remote.partition("#")[0],
        ref,
        posixpath.normpath(f"/{subdir}").lstrip("/"),
        attrs.get("git.keepgitdir") == "true",
        checksum,
        attrs.get("git.skipsubmodules") == "true",
        attrs.get("git.mtime", ""),
        attrs.get("git.authheadersecret", ""),
        attrs.get("git.authtokensecret", ""),
        attrs.get("git.knownsshhosts", ""),
        attrs.get("git.mountsshsock", ""),
        attrs.get("git.fetchbycommit") == "true",
    )


def git_key(options: GitOptions, found: GitCommit) -> str:
    """Names the checkout."""
    key = found.object if options.keep_git_dir else found.commit
    if options.keep_git_dir:
        key += f".git#{found.ref}" if found.ref else ".git"
    if options.subdir:
        key += f":{options.subdir}"
    if options.skip_submodules:
        key += "(skip-submodules)"
    if options.mtime not in ("", "checkout"):
        key += f"(mtime={options.mtime})"
    return key


def pinned(options: GitOptions) -> GitCommit:
    """A commit that is given by digest beside its name."""
    if not options.checksum:
        raise InvalidRequest("fetch-by-commit requires a checksum or a commit SHA ref")
    if not is_commit(options.checksum):
        raise InvalidRequest(
            f'fetch-by-commit requires a full commit SHA checksum, got "{options.checksum}"'
        )
    ref = options.ref or options.checksum
    if options.ref and not ref.startswith("refs/"):
        ref = f"refs/heads/{ref}"
    return GitCommit(ref, options.checksum, options.checksum)


def choose(ref: str, listing: str) -> GitCommit:
    """What git would check out: the exact reference, else a branch, else a tag."""
    lines: dict[str, str] = {}
    for line in listing.splitlines():
        object, _, name = line.partition("\t")
        lines[name] = object
    exact = f"refs/{ref.removeprefix('refs/')}"
    branch = f"refs/heads/{ref.removeprefix('refs/heads/')}"
    tag = f"refs/tags/{ref.removeprefix('refs/tags/')}"
    for name in (exact, branch, tag):
        if name in lines:
            object = lines[name]
            if not is_commit(object):
                raise CrozeError(f'invalid commit sha "{object}"')
            peeled = lines.get(f"{tag}^{{}}", "") if name == tag else ""
            return GitCommit(name, object, peeled or object)
    raise NotFound(f"repository does not contain ref {ref}, output: {_quoted(listing)}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t") + '"'


def checked(found: GitCommit, options: GitOptions) -> GitCommit:
    """Raises unless it is the one that was expected."""
    if not options.checksum:
        return found
    if any(each.startswith(options.checksum) for each in (found.object, found.commit)):
        return found
    raise CrozeError(f"expected checksum to match {options.checksum}, got {found.object}")
