"""The git source op."""

from __future__ import annotations

from typing import Literal, Unpack

from croze.errors import InvalidRequest
from croze.llb import caps
from croze.llb.giturl import GitUrl, UnknownProtocol, parse_git_url
from croze.llb.meta import join_path
from croze.llb.options import OpOptions
from croze.llb.source import source
from croze.llb.state import State


def git(
    url: str,
    ref: str = "",
    *,
    subdir: str = "",
    keep_git_dir: bool = False,
    checksum: str = "",
    skip_submodules: bool = False,
    mtime: Literal["", "checkout", "commit"] = "",
    fetch_by_commit: bool = False,
    known_ssh_hosts: str = "",
    ssh_id: str = "",
    auth_token_secret: str = "",
    auth_header_secret: str = "",
    bundle: str = "",
    bundle_session: str = "",
    bundle_store: str = "",
    checkout_bundle: bool = False,
    signed_by: str = "",
    reject_expired_keys: bool = False,
    require_signed_tag: bool = False,
    ignore_signed_tag: bool = False,
    **options: Unpack[OpOptions],
) -> State:
    """A commit's files.

    `ref` is a branch, tag or commit; `checksum` the commit it must be. Of an address over ssh the
    key of the host is taken from `known_ssh_hosts`, the agent from the client's `ssh_id`. `bundle`
    names a blob with a git bundle to take the commits from (`docker-image+blob://…@sha256:…`, or
    `oci-layout+blob://…` of a client's store and session); it needs a `checksum`.
    `checkout_bundle` gives a file `bundle` in place of the files. `signed_by` is an armoured
    OpenPGP key or a line of `authorized_keys` that must have signed the tag, or else the commit.
    """
    remote, url = _remote(url)
    attrs = {"git.fullurl": url}
    needed = {caps.SOURCE_GIT, caps.SOURCE_GIT_FULL_URL}
    for more_attrs, more_caps in (
        _http_access(auth_token_secret, auth_header_secret),
        _ssh_access(remote, known_ssh_hosts, ssh_id),
    ):
        attrs |= more_attrs
        needed |= more_caps
    extras = {
        "git.keepgitdir": (_flag(keep_git_dir), caps.SOURCE_GIT_KEEP_DIR),
        "git.checksum": (checksum, caps.SOURCE_GIT_CHECKSUM),
        "git.skipsubmodules": (_flag(skip_submodules), caps.SOURCE_GIT_SKIP_SUBMODULES),
        "git.mtime": (mtime, caps.SOURCE_GIT_MTIME),
        "git.fetchbycommit": (_flag(fetch_by_commit), caps.SOURCE_GIT_FETCH_BY_COMMIT),
        "git.bundle": (bundle, caps.SOURCE_GIT_BUNDLE),
        "oci.session": (bundle_session if bundle else "", caps.SOURCE_GIT_BUNDLE),
        "oci.store": (bundle_store if bundle else "", caps.SOURCE_GIT_BUNDLE),
        "git.sig.pubkey": (signed_by, caps.SOURCE_GIT_SIGNATURE),
        "git.sig.rejectexpired": (_flag(reject_expired_keys), caps.SOURCE_GIT_SIGNATURE),
        "git.sig.requiresignedtag": (_flag(require_signed_tag), caps.SOURCE_GIT_SIGNATURE),
        "git.sig.ignoresignedtag": (_flag(ignore_signed_tag), caps.SOURCE_GIT_SIGNATURE),
        "git.checkoutbundle": (_flag(checkout_bundle), caps.SOURCE_GIT_CHECKOUT_BUNDLE),
    }
    for key, (value, cap) in extras.items():
        if value:
            attrs[key] = value
            needed.add(cap)
    return source(f"git://{_identity(remote, url, ref, subdir)}", attrs, *needed, **options)


def _http_access(token_secret: str, header_secret: str) -> tuple[dict[str, str], set[str]]:
    attrs = {
        "git.authtokensecret": token_secret or "GIT_AUTH_TOKEN",
        "git.authheadersecret": header_secret or "GIT_AUTH_HEADER",
    }
    return attrs, {caps.SOURCE_GIT_HTTP_AUTH} if token_secret or header_secret else set()


def _ssh_access(
    remote: GitUrl | None, known_hosts: str, ssh_id: str
) -> tuple[dict[str, str], set[str]]:
    if remote is None or remote.scheme != "ssh":
        return {}, set()
    attrs = {"git.mountsshsock": ssh_id or "default"}
    if known_hosts:
        attrs["git.knownsshhosts"] = known_hosts.removesuffix("\n") + "\n"
    return attrs, {caps.SOURCE_GIT_KNOWN_HOSTS, caps.SOURCE_GIT_SSH_SOCK}


def _flag(value: bool) -> str:
    return "true" if value else ""


def _remote(url: str) -> tuple[GitUrl | None, str]:
    """The address, with `https://` where nothing is said, or None where it can't be read: then
    git will complain."""
    try:
        try:
            remote = parse_git_url(url)
        except UnknownProtocol:
            url = f"https://{url}"
            remote = parse_git_url(url)
    except InvalidRequest:
        return None, url
    return remote, remote.remote


def _identity(remote: GitUrl | None, url: str, ref: str, subdir: str) -> str:
    """What stands for the repository in the source's identifier, whichever protocol it is had
    by."""
    if remote is None:
        return url
    identity = remote.host + join_path("/", remote.path)
    if ref or subdir:
        identity += f"#{ref}" + (f":{subdir}" if subdir else "")
    return identity
