"""Addresses as sources of ADD."""

from __future__ import annotations

from croze.dockerfile.convert.bases import COMMAND_KEY
from croze.dockerfile.location import DockerfileError
from croze.errors import CrozeError, InvalidRequest
from croze.gotypes import url as urls
from croze.gotypes.quote import quote
from croze.image.reference import check_digest
from croze.llb.gitref import GitRef, git_state, parse_git_ref
from croze.llb.options import OpOptions
from croze.llb.source import http
from croze.llb.state import State


def is_git_source(text: str) -> bool:
    try:
        return parse_git_ref(text) is not None
    except CrozeError:
        return False


def is_http_source(text: str) -> bool:
    """Whether it is a web address that is not a git repository's."""
    return text.startswith(("http://", "https://")) and not is_git_source(text)


def add_git(
    git: GitRef, keep_git_dir: bool | None, checksum: str, name: str
) -> tuple[State, bool | None, str]:
    """A repository, and the settings that hold for the sources after it, too."""
    if git.keep_git_dir is not None:
        if keep_git_dir is not None and keep_git_dir != git.keep_git_dir:
            raise DockerfileError("inconsistent keep-git-dir configuration")
        keep_git_dir = git.keep_git_dir
    if git.checksum:
        if checksum and checksum != git.checksum:
            raise DockerfileError(f"checksum mismatch {quote(checksum)} != {quote(git.checksum)}")
        checksum = git.checksum
    options: OpOptions = {"name": name}
    state = git_state(git, keep_git_dir=bool(keep_git_dir), checksum=checksum, options=options)
    return state, keep_git_dir, checksum


def add_http(url: str, checksum: str, name: str) -> tuple[State, str]:
    """A download, and its file name."""
    filename = url_filename(url)
    if checksum:
        check_digest(checksum)
    state = http(
        url, filename=filename, checksum=checksum, name=name, description={COMMAND_KEY: ""}
    )
    return state, filename


def url_filename(url: str) -> str:
    """The last part of an address's path."""
    try:
        path = urls.parse(url).path
    except InvalidRequest:
        return "__unnamed__"
    base = path.rstrip("/").rpartition("/")[2]
    return base if base not in ("", ".") else "__unnamed__"
