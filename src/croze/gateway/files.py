"""Looking into a ref: read, list and stat without ever leaving its root.

What comes out is what BuildKit's `cache/util` gives: symlinks are resolved inside the root, also in
the last component.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from croze.aio.threads import in_thread
from croze.api import gateway_pb2, stat_pb2
from croze.errors import CrozeError, InvalidRequest, NotFound, ResourceExhausted, os_reason
from croze.fs.entry import Entry, lstat_entry
from croze.fs.root import open_beneath, resolve
from croze.fs.tree.walk import WalkOptions, walk
from croze.rpc.limits import MESSAGE_LIMIT_BYTES
from croze.session.transfer import to_stat
from croze.store.contract import ImmutableRef

_READ_MOST = MESSAGE_LIMIT_BYTES + 1
"""A file takes up next to nothing with holes in it, however large it is; no peer takes more."""
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_SMALL_BYTES = 64 << 10


async def read_file(
    ref: ImmutableRef | None,
    path: str,
    *,
    offset: int = 0,
    length: int | None = None,
    sessions: Sequence[str] = (),
) -> bytes:
    """The content of a regular file, or `length` bytes of it from `offset` on."""
    if ref is None:
        raise _missing("open", path)
    async with ref.mounted(readonly=True, sessions=sessions) as root:
        if (offset, length) == (0, None) and (small := _small(root, path)) is not None:
            return small
        return await in_thread(read_below, root, path, offset, length)


async def read_dir(
    ref: ImmutableRef | None, path: str, include: str = "", *, sessions: Sequence[str] = ()
) -> list[stat_pb2.Stat]:
    """The entries of one directory, by name; with `include` those that match the pattern."""
    if ref is None:
        if path.strip("/.") == "":
            return []
        raise _missing("lstat", path)
    async with ref.mounted(readonly=True, sessions=sessions) as root:
        return await in_thread(list_below, root, path, include)


async def stat_file(
    ref: ImmutableRef | None, path: str, *, sessions: Sequence[str] = ()
) -> stat_pb2.Stat:
    """The file information of a path in a result. Raises `NotFound`."""
    if ref is None:
        raise _missing("lstat", path)
    async with ref.mounted(readonly=True, sessions=sessions) as root:
        return await in_thread(stat_below, root, path)


def range_of(request: gateway_pb2.ReadFileRequest) -> tuple[int, int | None]:
    """The offset and length asked for; a length of None means to the end."""
    if request.HasField("Range"):
        return request.Range.Offset, request.Range.Length
    return 0, None


def read_below(root: Path, path: str, offset: int, length: int | None) -> bytes:
    """`read_file` of a tree that is mounted at `root`."""
    if offset < 0 or (length is not None and length < 0):
        raise InvalidRequest(f"invalid range {offset}+{length}")
    try:
        fd = open_beneath(str(root), path, _READ_FLAGS)
    except OSError as err:
        raise _path_error("open", path, err) from err
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidRequest(f"{path} is not a regular file")
    with open(fd, "rb") as file:
        file.seek(offset)
        data = file.read(_READ_MOST if length is None else min(length, _READ_MOST))
    if len(data) > MESSAGE_LIMIT_BYTES:
        raise ResourceExhausted(f"{path}: more than {MESSAGE_LIMIT_BYTES} bytes to be read at once")
    return data


def _small(root: Path, path: str) -> bytes | None:
    """A file that is read sooner than a thread has begun; None for others. Raises for one that
    can't be opened."""
    try:
        fd = open_beneath(str(root), path, _READ_FLAGS)
    except OSError as err:
        raise _path_error("open", path, err) from err
    try:
        status = os.fstat(fd)
        is_small = stat.S_ISREG(status.st_mode) and status.st_size <= _SMALL_BYTES
        return os.read(fd, _SMALL_BYTES) if is_small else None
    finally:
        os.close(fd)


def list_below(root: Path, path: str, include: str) -> list[stat_pb2.Stat]:
    """`read_dir` of a tree that is mounted at `root`."""
    try:
        return [to_stat(entry) for entry in _entries(resolve(str(root), path), include)]
    except OSError as err:
        raise _path_error("lstat", path, err) from err


def _entries(directory: str, include: str) -> Iterator[Entry]:
    if include:
        for entry in walk(directory, WalkOptions(include=[include])):
            if "/" not in entry.path:
                yield entry
        return
    for name in sorted(os.listdir(directory), key=os.fsencode):
        yield lstat_entry(os.path.join(directory, name), name)


def stat_below(root: Path, path: str) -> stat_pb2.Stat:
    """`stat_file` of a tree that is mounted at `root`."""
    try:
        resolved = resolve(str(root), path)
        name = os.path.basename(resolved) if resolved != str(root) else "/"
        return to_stat(lstat_entry(resolved, name))
    except OSError as err:
        raise _path_error("lstat", path, err) from err


def _missing(verb: str, path: str) -> NotFound:
    return NotFound(f"{verb} {path}: no such file or directory")


def _path_error(verb: str, path: str, err: OSError) -> CrozeError:
    if isinstance(err, FileNotFoundError):
        return _missing(verb, path)
    return CrozeError(f"{verb} {path}: {os_reason(err)}")
