"""Paths in the image's own operating system: `/` everywhere, drive letters and `\\` on Windows.

BuildKit `util/system/path.go`.
"""

from __future__ import annotations

from croze.errors import InvalidRequest
from croze.gotypes.quote import quote
from croze.llb.meta import clean_path, join_path


def to_slash(path: str, os: str) -> str:
    return path.replace("\\", "/") if os == "windows" else path


def is_absolute(path: str, os: str) -> bool:
    try:
        return to_slash(strip_drive(path, os), os).startswith("/")
    except InvalidRequest:
        return False


def normalize_path(parent: str, path: str, os: str, *, keep_slash: bool = False) -> str:
    """The path seen from `parent`: absolute, with slashes, without a drive letter. A final `/` or
    `/.` can be kept."""
    original = path = to_slash(path, os)
    parent = _strip_for(to_slash(parent, os) or "/", os, keep_slash)
    if not is_absolute(parent, os):
        parent = join_path("/", parent)
    path = _strip_for(path or parent, os, keep_slash)
    if not is_absolute(path, os):
        path = join_path(parent, path)
    if keep_slash:
        if original.endswith("/") and not path.endswith("/"):
            path += "/"
        elif original.endswith("/."):
            path = path if path == "/" else path + "/"
            path += "."
    return to_slash(path, os)


def normalize_workdir(current: str, path: str, os: str) -> str:
    """A new working directory, in the image's own spelling."""
    try:
        normalized = normalize_path(current, path, os)
    except InvalidRequest as err:
        raise err.wrap("normalizing working directory") from None
    return normalized.replace("/", "\\") if os == "windows" else normalized


def strip_drive(path: str, os: str, *, keep_slash: bool = False) -> str:
    """The path without the drive letter, which must be C, and cleaned; unchanged but on Windows."""
    if os != "windows":
        return path
    if len(path) == 2 and path[1] == ":":
        raise InvalidRequest(f"No relative path specified in {quote(path)}")
    if to_slash(path[:2], os) == "//":
        raise InvalidRequest("UNC paths are not supported")
    drive, colon, rest = path.partition(":")
    if not colon:
        return _clean(path, os, keep_slash)
    if drive.lower() != "c":
        raise InvalidRequest("The specified path is not on the system drive (C:)")
    return _clean(rest, os, keep_slash)


def _strip_for(path: str, os: str, keep_slash: bool) -> str:
    try:
        return strip_drive(path, os, keep_slash=keep_slash)
    except InvalidRequest as err:
        raise err.wrap("removing drive letter") from None


def _clean(path: str, os: str, keep_slash: bool) -> str:
    path = to_slash(path, os)
    cleaned = clean_path(path)
    return cleaned + "/" if keep_slash and len(cleaned) > 1 and path.endswith("/") else cleaned
