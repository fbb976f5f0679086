"""Copies files and trees as BuildKit's file op does (fsutil `copy`, on the rules of `cp -a`).

Destination: parents that are missing are made first; a path with a trailing slash is a directory.
A directory goes into an existing one (or, with `dir_copy_contents`, is poured into it); a file goes
into an existing directory, or replaces an existing file. Directories are merged. Owner, mode, times
and extended attributes come along unless they are given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.fs.copy.copier import TreeCopier
from croze.fs.copy.links import claim
from croze.fs.copy.request import CopyRequest
from croze.fs.failures import explained
from croze.fs.paths import base, clean, dirname, join, rooted
from croze.fs.root import resolve
from croze.fs.tar.archive import unpack_at
from croze.fs.tree.edit import make_dirs, resolve_wildcards, set_owner_and_time


def copy(request: CopyRequest) -> None:
    """Do the copy. Raises NotFound, InvalidRequest and what the disk says, roots cut off."""
    with explained("lstat", request.src_root, request.dst_root), _inside(request.dst_root):
        src, dst = _clean_path(request.src), _clean_path(request.dst)
        if not request.create_dest_path:
            _require_parent(request)
        for match in _sources(request, src):
            owner, time = request.owner, request.timestamp_ns
            if request.unpack and unpack_at(
                resolve(request.src_root, match), request.dst_root, dst, owner, time
            ):
                continue
            _copy_one(request, match, dst)


@contextmanager
def _inside(root: str) -> Iterator[None]:
    """Cut the root from paths in messages."""
    try:
        yield
    except CrozeError as error:
        if len(root) > 1:
            message = str(error).replace(root.rstrip("/") + "/", "/")
            raise error.with_message(message) from error.__cause__
        raise


def _require_parent(request: CopyRequest) -> None:
    parent = os.path.dirname(resolve(request.dst_root, rooted(request.dst)))
    try:
        os.lstat(parent)
    except FileNotFoundError:
        raise NotFound(
            f"failed to stat {request.dst}: lstat {dirname(rooted(request.dst))}: "
            "no such file or directory"
        ) from None


def _sources(request: CopyRequest, src: str) -> list[str]:
    if not request.allow_wildcard:
        return [src]
    matches = resolve_wildcards(request.src_root, src, request.follow_symlink)
    if not matches and not request.allow_empty_wildcard:
        raise NotFound(f"{src} not found")
    return matches


def _copy_one(request: CopyRequest, src: str, dst: str) -> None:
    parents_mode = request.mode & 0o777 if request.mode != -1 and not request.mode_str else 0o755
    directories: list[str] = []

    def ensure(path: str) -> None:
        directories.extend(make_dirs(path, parents_mode, request.owner, request.timestamp_ns))

    head, _, tail = dst.rpartition("/")
    ensure(resolve(request.dst_root, head + "/" if tail not in ("", ".") else dst))
    target = resolve(request.dst_root, clean(dst))
    source = resolve(request.src_root, src, request.follow_symlink)
    source_is_dir = os.path.isdir(source) and not os.path.islink(source)
    os.lstat(source)
    makes_target = request.dir_copy_contents and source_is_dir and not os.path.exists(target)
    if _goes_inside(target, source_is_dir=source_is_dir, contents=request.dir_copy_contents):
        target = join(target, base(src))
    ensure(target if makes_target else os.path.dirname(target))
    if not source_is_dir and base(src) in ("/", "."):
        raise InvalidRequest(f"cannot copy {src}")
    links = request.link_notes if source_is_dir else None
    link = links is not None and claim(
        links, _below(request.src_root, source), _below(request.dst_root, target)
    )
    TreeCopier(request, link=link).copy_top(source, target)
    if request.timestamp_ns != -1:
        for directory in reversed(directories):
            set_owner_and_time(directory, None, request.timestamp_ns)


def _goes_inside(target: str, *, source_is_dir: bool, contents: bool) -> bool:
    """Whether a source goes below the target, under its own name, rather than in its place."""
    if source_is_dir:
        return os.path.exists(target) and not contents
    return os.path.isdir(target)


def _below(root: str, path: str) -> str:
    return path[len(root.rstrip("/")) :]


def _clean_path(path: str) -> str:
    """Cleaned below the root, with a meaningful end (`/`, `/.`) kept."""
    result = rooted(path)
    if path.endswith("/."):
        return (result if result == "/" else result + "/") + "."
    if path.endswith("/") and result != "/":
        return result + "/"
    return result
