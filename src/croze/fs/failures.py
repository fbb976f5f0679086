"""Turns `OSError` into errors with the wording of Go's `os.PathError`, roots cut off."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from croze.errors import (
    AlreadyExists,
    CrozeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)

_KINDS: dict[int, type[CrozeError]] = {
    errno.ENOENT: NotFound,
    errno.EEXIST: AlreadyExists,
    errno.EACCES: PermissionDenied,
    errno.EPERM: PermissionDenied,
    errno.ENOSPC: ResourceExhausted,
    errno.EDQUOT: ResourceExhausted,
    errno.EMFILE: ResourceExhausted,
    errno.ENOMEM: ResourceExhausted,
    errno.ENOTDIR: InvalidRequest,
    errno.EISDIR: InvalidRequest,
    errno.ENAMETOOLONG: InvalidRequest,
    errno.ELOOP: InvalidRequest,
}


class TooManyLinks(InvalidRequest):
    """More symbolic links than a path may have."""

    def __init__(self, message: str = "too many links") -> None:
        super().__init__(message)


def explain(error: OSError, op: str, *roots: str) -> CrozeError:
    """The error as `op path: reason`; each of `roots` is cut from the front of the path. Of a full
    disk the whole path is told, or else the last of the roots, which is what is written to."""
    number = error.errno or errno.EIO
    path = error.filename
    text = os.fsdecode(path) if isinstance(path, (str, bytes)) else ""
    if number in (errno.ENOSPC, errno.EDQUOT):
        text = _opened_as(text if text.startswith("/") else roots[-1] if roots else text)
        roots = ()
    for root in roots:
        if root != "/":
            text = text.removeprefix(root.rstrip("/"))
    reason = os.strerror(number).lower()
    kind = _KINDS.get(number, CrozeError)
    return kind(f"{op} {text}: {reason}" if text else f"{op}: {reason}")


def _opened_as(path: str) -> str:
    """The path by which something was opened that is named by its descriptor in /proc, as far as
    the kernel knows it: of a file without a name, its directory's."""
    if not path.startswith("/proc/"):
        return path
    try:
        target = os.readlink(path)
    except OSError:
        return ""
    return os.path.dirname(target) if target.endswith(" (deleted)") else target


def about(path: str, error: OSError) -> OSError:
    """The error of a call on something open, which doesn't say that it was `path`."""
    return OSError(error.errno or errno.EIO, error.strerror or str(error), path)


@contextmanager
def explained(op: str, *roots: str) -> Iterator[None]:
    """Raise what goes wrong inside as `explain` says it."""
    try:
        yield
    except OSError as error:
        raise explain(error, op, *roots) from error
