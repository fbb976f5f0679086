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
    """The error as `op path: reason`; each of `roots` is cut from the front of the path."""
    number = error.errno or errno.EIO
    path = error.filename
    text = os.fsdecode(path) if isinstance(path, (str, bytes)) else ""
    for root in roots:
        if root != "/":
            text = text.removeprefix(root.rstrip("/"))
    reason = os.strerror(number).lower()
    kind = _KINDS.get(number, CrozeError)
    return kind(f"{op} {text}: {reason}" if text else f"{op}: {reason}")


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
