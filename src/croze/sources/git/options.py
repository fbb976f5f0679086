"""What git source ops say, and which commit a remote's listing makes of it."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping

from msgspec import Struct

from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.files.redact import redact
from croze.http.urls import parse_url
from croze.image import reference
from croze.image.reference import Reference
from croze.patterns import lazy_pattern
from croze.sources.git.cli import is_commit
from croze.sources.request import SourceRequest
from croze.sources.resolutions import GitCommit

_TRANSPORT = lazy_pattern(r"(?:https?|ssh|git)://|[^/:@]+@[^/:]+:")
_SIGNATURE_ATTRS = (
    "git.sig.pubkey",
    "git.sig.rejectexpired",
    "git.sig.requiresignedtag",
    "git.sig.ignoresignedtag",
)
_BLOB_SCHEMES = ("docker-image+blob", "oci-layout+blob")
_QUOTED_CHARS = 10_000


class SignaturePolicy(Struct, frozen=True):
    """Who must have signed. `key` is an armoured OpenPGP key or a line of `authorized_keys`."""

    key: bytes = b""
    reject_expired: bool = False
    require_tag: bool = False
    ignore_tag: bool = False


class GitBundle(Struct, frozen=True):
    """A blob that holds a repository, instead of the remote. `store` and `session` are of a
    client's content store; without `store` it is in a registry."""

    locator: str
    ref: Reference
    store: str = ""
    session: str = ""


class GitOptions(Struct, frozen=True):
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
    signature: SignaturePolicy | None = None
    bundle: GitBundle | None = None
    checkout_bundle: bool = False

    @property
    def shown(self) -> str:
        """The remote without user and password in it: as it is shown, and as git is told it. What
        it stands for goes to git by its environment alone (`stands_for`)."""
        return redact(self.remote)

    @property
    def stands_for(self) -> list[tuple[str, str]]:
        """git's configuration that makes `shown` mean the remote, and all else of its host for the
        same user, such as submodules."""
        if self.shown == self.remote:
            return []
        real, shown = (parse_url(url) for url in (self.remote, self.shown))
        scheme = real.scheme
        return [(f"url.{scheme}://{real.netloc}/.insteadOf", f"{scheme}://{shown.netloc}/")]

    @property
    def kept_name(self) -> str:
        """What the remote is called in what is kept: nobody can read a password from it."""
        if self.shown == self.remote:
            return self.remote
        return f"{self.shown} {hashlib.sha256(self.remote.encode()).hexdigest()}"


def parse_options(request: SourceRequest) -> GitOptions:
    """Read a source op. Raises `InvalidRequest`."""
    attrs = request.attrs
    address, _, fragment = request.identifier.partition("://")[2].partition("#")
    ref, _, subdir = fragment.partition(":")
    remote = attrs.get("git.fullurl", "") or address
    if not _TRANSPORT.match(remote):
        remote = f"https://{remote}"
    if ref.startswith("-"):
        raise InvalidRequest(f'invalid git ref "{ref}"')
    checksum = attrs.get("git.checksum", "")
    if checksum and not re.fullmatch("[a-fA-F0-9]+", checksum):
        raise InvalidRequest(f"invalid checksum {checksum} for Git URL, expected hex commit hash")
    options = GitOptions(
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
        _signature(attrs),
        _bundle(attrs),
        attrs.get("git.checkoutbundle") == "true",
    )
    _check_bundles(options)
    return options


def _signature(attrs: Mapping[str, str]) -> SignaturePolicy | None:
    if not any(key in attrs for key in _SIGNATURE_ATTRS):
        return None
    key, *flags = _SIGNATURE_ATTRS
    return SignaturePolicy(
        attrs.get(key, "").encode(), *(attrs.get(flag) == "true" for flag in flags)
    )


def _bundle(attrs: Mapping[str, str]) -> GitBundle | None:
    locator = attrs.get("git.bundle", "")
    if not locator:
        return None
    scheme, separator, body = locator.partition("://")
    trouble = f'failed to parse git.bundle locator "{locator}"'
    if not separator:
        raise InvalidRequest(f"{trouble}: missing scheme")
    if scheme not in _BLOB_SCHEMES:
        raise InvalidRequest(
            f'git.bundle locator scheme "{scheme}" is not supported; expected '
            f'"{_BLOB_SCHEMES[0]}" or "{_BLOB_SCHEMES[1]}"'
        )
    try:
        ref = reference.parse(body)
    except InvalidRequest as err:
        raise err.wrap(trouble) from None
    algorithm = ref.digest.partition(":")[0]
    if not algorithm:
        raise InvalidRequest(f"{trouble}: invalid digest: invalid checksum digest format")
    if algorithm != "sha256":
        raise InvalidRequest(
            f'git.bundle locator "{locator}": digest algorithm "{algorithm}" not supported, '
            'expected "sha256"'
        )
    if scheme == _BLOB_SCHEMES[0]:
        return GitBundle(locator, ref)
    store = attrs.get("oci.store", "") or body.partition("@")[0]
    return GitBundle(locator, ref, store, attrs.get("oci.session", ""))


def _check_bundles(options: GitOptions) -> None:
    if options.bundle is not None:
        if not options.checksum:
            raise InvalidRequest("git.bundle requires git.checksum to be set")
        if is_commit(options.ref):
            check_pinned(options.ref, options.checksum)
    if options.checkout_bundle:
        if options.keep_git_dir:
            raise InvalidRequest("git.checkoutbundle is incompatible with git.keepgitdir")
        if options.subdir:
            raise InvalidRequest("git.checkoutbundle is incompatible with git.subdir")


def check_pinned(commit: str, checksum: str) -> None:
    """See that the checksum is the commit's, or its beginning. Raises `InvalidRequest`."""
    if not commit.startswith(checksum):
        raise InvalidRequest(f"expected checksum to match {checksum}, got {commit}")


def git_key(options: GitOptions, commit: GitCommit) -> str:
    """A text for the cache key: of the commit, and of all that decides what the checkout has."""
    key = commit.object if options.keep_git_dir else commit.commit
    if options.keep_git_dir:
        key += f".git#{commit.ref}" if commit.ref else ".git"
    if options.subdir:
        key += f":{options.subdir}"
    if options.skip_submodules:
        key += "(skip-submodules)"
    if options.mtime not in ("", "checkout"):
        key += f"(mtime={options.mtime})"
    if options.checkout_bundle:
        key += "(bundle)"
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
    if len(text) > _QUOTED_CHARS:
        text = f"{text[:_QUOTED_CHARS]}..."
    return '"' + text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t") + '"'


def checked(commit: GitCommit, options: GitOptions) -> GitCommit:
    """The commit, if it, or the tag that names it, has the expected checksum. Raises
    `CrozeError`."""
    if not options.checksum:
        return commit
    if any(each.startswith(options.checksum) for each in (commit.object, commit.commit)):
        return commit
    names = " or ".join(dict.fromkeys((commit.object, commit.commit)))
    raise CrozeError(f"expected checksum to match {options.checksum}, got {names}")
