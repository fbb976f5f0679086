"""Git addresses in Dockerfiles and contexts: which texts are one, and what they ask for.

`https://host/repo.git#ref:subdir` or `...repo.git?ref=...&subdir=...` (BuildKit `dfgitutil`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from croze.errors import InvalidRequest
from croze.gotypes.booleans import parse_bool
from croze.gotypes.quote import quote
from croze.llb.gitsource import git
from croze.llb.giturl import GitUrl, parse_git_url, parse_url
from croze.llb.options import OpOptions
from croze.llb.state import State

_FLAGS = ("submodules", "keep-git-dir", "fetch-by-commit")


class GitRef(Struct, frozen=True):
    """What a git address asks for. `maybe_local` is true for `github.com/...`, which can also be a
    path; only contexts take it for an address."""

    remote: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    maybe_local: bool = False
    keep_git_dir: bool | None = None
    submodules: bool | None = None
    mtime: Literal["", "checkout", "commit"] = ""
    fetch_by_commit: bool = False


def parse_git_ref(text: str) -> GitRef | None:
    """The address, or None if it is none. Raises `InvalidRequest` for a bad query."""
    if text.startswith(("./", "../")):
        return None
    maybe_local = text.startswith("github.com/")
    try:
        url = parse_url(f"https://{text}") if maybe_local else parse_git_url(text)
    except InvalidRequest:
        return None
    if not maybe_local and url.scheme in ("http", "https") and not url.path.endswith(".git"):
        return None
    remote = url.remote.partition("://")[2] if maybe_local else url.remote
    parsed = GitRef(remote, url.ref, url.subdir, maybe_local=maybe_local)
    return _with_query(parsed, url) if url.query else parsed


def is_git_ref(text: str) -> bool:
    """Whether it is meant as an address, be its query a bad one."""
    try:
        return parse_git_ref(text) is not None
    except InvalidRequest:
        return True


def _with_query(ref: GitRef, url: GitUrl) -> GitRef:
    tag = branch = ""
    for key, values in url.query.items():
        value = _single(key, values)
        match key:
            case "tag":
                tag = value
            case "branch":
                branch = value
            case _:
                ref = _with_pair(ref, key, value)
    return _with_names(ref, tag, branch)


def _single(key: str, values: Sequence[str]) -> str:
    if len(values) > 1:
        raise InvalidRequest(f"query {quote(key)} has multiple values")
    if not values[0] and key not in _FLAGS:
        raise InvalidRequest(f"query {quote(key)} has no value")
    return values[0]


def _with_pair(ref: GitRef, key: str, value: str) -> GitRef:
    match key:
        case "ref":
            _check_same("ref", ref.ref, value)
            return replace(ref, ref=value)
        case "subdir":
            _check_same("subdir", ref.subdir, value)
            return replace(ref, subdir=value)
        case "checksum" | "commit":
            return replace(ref, checksum=value)
        case "keep-git-dir":
            return replace(ref, keep_git_dir=_flag(key, value))
        case "submodules":
            return replace(ref, submodules=_flag(key, value))
        case "fetch-by-commit":
            return replace(ref, fetch_by_commit=_flag(key, value))
        case "mtime":
            return replace(ref, mtime=_mtime(value))
    raise InvalidRequest(f"unexpected query {quote(key)}")


def _with_names(ref: GitRef, tag: str, branch: str) -> GitRef:
    if tag:
        tag = "refs/tags/" + tag.removeprefix("refs/tags/")
        _check_same("ref", ref.ref, tag)
        ref = replace(ref, ref=tag)
    if branch:
        if tag:
            raise InvalidRequest("branch conflicts with tag")
        branch = "refs/heads/" + branch.removeprefix("refs/heads/")
        _check_same("ref", ref.ref, branch)
        ref = replace(ref, ref=branch)
    return ref


def _check_same(what: str, earlier: str, value: str) -> None:
    if earlier and earlier != value:
        raise InvalidRequest(f"{what} conflicts: {quote(earlier)} vs {quote(value)}")


def _flag(key: str, text: str) -> bool:
    value = parse_bool(text) if text else True
    if value is None:
        raise InvalidRequest(f"invalid {key} value: {quote(text)}")
    return value


def _mtime(text: str) -> Literal["checkout", "commit"]:
    if text == "checkout":
        return "checkout"
    if text == "commit":
        return "commit"
    raise InvalidRequest(f'invalid mtime value: {quote(text)} (must be "checkout" or "commit")')


def git_state(
    ref: GitRef,
    *,
    keep_git_dir: bool = False,
    checksum: str = "",
    mtime: Literal["", "checkout", "commit"] = "",
    options: OpOptions | Mapping[str, object] | None = None,
) -> State:
    """The source for an address. What is given here goes before what the address says, but for
    `keep_git_dir` either will do."""
    extra: OpOptions = options or {}  # type: ignore[assignment]
    return git(
        ref.remote,
        ref.ref,
        subdir=ref.subdir,
        keep_git_dir=keep_git_dir,
        checksum=checksum or ref.checksum,
        skip_submodules=ref.submodules is False,
        mtime=mtime,
        fetch_by_commit=ref.fetch_by_commit,
        **extra,
    )
