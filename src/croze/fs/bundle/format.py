"""The index: what is in a tree, of which chunks, and in which packs they are.

MessagePack, compressed by zstd. What comes from elsewhere is checked before it is used: no path
leaves the tree or leads through a link, nothing is a device, sizes add up and stay in their limits.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import Final

import msgspec
import zstandard

from croze.errors import InvalidRequest, ResourceExhausted
from croze.fs.bundle.chunking import MAX_BYTES
from croze.fs.entry import OVERLAY_XATTRS
from croze.patterns import lazy_pattern
from croze.workers.memory import bounded_memory

VERSION: Final = 1
INDEX_LIMIT_BYTES: Final = 128 << 20
"""The largest index, unpacked: about a million files."""
MAX_NODES: Final = 1_000_000
_MEMORY_BYTES: Final = 768 << 20
"""What those take. A byte of a hostile index may stand for a hundred."""
_LEVEL: Final = 3
_DIGEST = lazy_pattern(r"sha256:[0-9a-f]{64}")
_MAX_PATH, _MAX_NAME, _MAX_ID, _MAX_TIME = 4096, 255, (1 << 32) - 2, (1 << 63) - 1
_XATTRS = ("user.", "security.capability", "system.posix_acl_")


class BundleNode(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A directory, file or symbolic link. `path` is relative, the root's is empty."""

    path: bytes
    mode: int
    """`st_mode`: type and permission bits."""
    uid: int
    gid: int
    mtime_ns: int
    link: bytes = b""
    """A symbolic link's target; for a further name of a file above, that file's path."""
    size: int = 0
    chunks: tuple[int, ...] = ()
    """Numbers of chunks, counted through all packs."""
    xattrs: dict[str, bytes] = {}


class Chunk(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A piece of content. `digest`: SHA-256 of its `length` bytes."""

    digest: bytes
    length: int


class Pack(msgspec.Struct, frozen=True, array_like=True):
    """Chunks in a row, as one zstd stream: a blob of `size` bytes."""

    digest: str
    size: int
    chunks: tuple[Chunk, ...]

    @property
    def content_bytes(self) -> int:
        """How much the pack holds, unpacked."""
        return sum(chunk.length for chunk in self.chunks)


class BundleIndex(msgspec.Struct, frozen=True):
    """A tree. Nodes in order: a directory is before what is in it."""

    nodes: tuple[BundleNode, ...]
    packs: tuple[Pack, ...]
    version: int = VERSION

    def chunks(self) -> list[Chunk]:
        """All, in the order of their numbers."""
        return [chunk for pack in self.packs for chunk in pack.chunks]

    @property
    def content_bytes(self) -> int:
        """How much the tree's files hold, unpacked."""
        return sum(node.size for node in self.nodes)


_decoder = msgspec.msgpack.Decoder(BundleIndex)


def encode(index: BundleIndex) -> bytes:
    """The blob. Raises `ResourceExhausted` for one that nobody would read."""
    plain = msgspec.msgpack.encode(index)
    if len(plain) > INDEX_LIMIT_BYTES:
        raise ResourceExhausted(f"{len(index.nodes)} files and directories are too many")
    return zstandard.ZstdCompressor(level=_LEVEL).compress(plain)


def decode(data: bytes, limit_bytes: int) -> BundleIndex:
    """Read and check. Raises `InvalidRequest` for what is no such index or isn't harmless, and
    `ResourceExhausted` for files of more than `limit_bytes` in all, or for more files than fit into
    memory."""
    try:
        with bounded_memory(_MEMORY_BYTES):
            index = _decoder.decode(_plain(data))
    except (zstandard.ZstdError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _invalid(str(error)) from None
    if index.version != VERSION:
        raise _invalid(f"version {index.version} is not known here")
    _check_packs(index)
    _check_nodes(index)
    if index.content_bytes > limit_bytes:
        raise ResourceExhausted(
            f"its files have {index.content_bytes} bytes, more than the limit of {limit_bytes}"
        )
    return index


def _plain(data: bytes) -> bytearray:
    plain = bytearray()
    with zstandard.ZstdDecompressor().stream_reader(data) as reader:
        while part := reader.read(1 << 20):
            plain += part
            if len(plain) > INDEX_LIMIT_BYTES:
                raise _invalid("it is too large")
    return plain


def kept_xattrs(xattrs: dict[str, bytes]) -> dict[str, bytes]:
    """The attributes that travel: none that say something to the kernel of this machine alone."""
    return {name: value for name, value in xattrs.items() if _travels(name)} if xattrs else xattrs


def _travels(name: str) -> bool:
    return name.startswith(_XATTRS) and not name.startswith(OVERLAY_XATTRS) and "\0" not in name


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(f"invalid cache mount index: {reason}")


def _check_packs(index: BundleIndex) -> None:
    for pack in index.packs:
        if not _DIGEST.fullmatch(pack.digest) or pack.size < 0:
            raise _invalid("a pack has no digest")
        for chunk in pack.chunks:
            if len(chunk.digest) != 32 or not 0 < chunk.length <= MAX_BYTES:
                raise _invalid("a chunk has no digest, or is too large")


def _check_nodes(index: BundleIndex) -> None:
    lengths = [chunk.length for chunk in index.chunks()]
    directories: set[bytes] = set()
    files: dict[bytes, BundleNode] = {}
    for number, node in enumerate(index.nodes):
        path = node.path
        _check_values(node)
        if (number == 0) != (path == b""):
            raise _invalid("the root is not first")
        if number:
            _check_path(path, directories, files)
        kind = stat.S_IFMT(node.mode)
        if kind == stat.S_IFDIR:
            directories.add(path)
        elif number == 0:
            raise _invalid("the root is no directory")
        else:
            _check_leaf(node, kind, files)
        files[path] = node
        if kind != stat.S_IFREG and (node.size or node.chunks):
            raise _invalid(f"{path!r} is no file, but has content")
        _check_content(node, lengths)


def _check_path(path: bytes, directories: set[bytes], seen: dict[bytes, BundleNode]) -> None:
    """Every parent was a directory before: so no path can lead through a link."""
    parent, _, name = path.rpartition(b"/")
    if name in (b"", b".", b"..") or b"\0" in name or len(name) > _MAX_NAME:
        raise _invalid(f"bad path {path!r}")
    if len(path) > _MAX_PATH or parent not in directories or path in seen:
        raise _invalid(f"bad path {path!r}")


def _check_leaf(node: BundleNode, kind: int, seen: dict[bytes, BundleNode]) -> None:
    if kind == stat.S_IFLNK:
        if not node.link or b"\0" in node.link or len(node.link) >= _MAX_PATH:
            raise _invalid(f"bad link {node.path!r}")
    elif kind != stat.S_IFREG:
        raise _invalid(f"{node.path!r} is neither a file nor a directory nor a link")
    elif node.link:
        target = seen.get(node.link)
        if target is None or not stat.S_ISREG(target.mode) or target.link or node.chunks:
            raise _invalid(f"bad link {node.path!r}")


def _check_values(node: BundleNode) -> None:
    if not (0 <= node.uid <= _MAX_ID and 0 <= node.gid <= _MAX_ID and 0 <= node.mode < 1 << 16):
        raise _invalid(f"bad owner or mode of {node.path!r}")
    if abs(node.mtime_ns) > _MAX_TIME or not all(map(_travels, node.xattrs)):
        raise _invalid(f"bad time or attribute of {node.path!r}")


def _check_content(node: BundleNode, lengths: list[int]) -> None:
    if any(not 0 <= number < len(lengths) for number in node.chunks):
        raise _invalid(f"{node.path!r} has unknown chunks")
    if node.size != sum(lengths[number] for number in node.chunks):
        raise _invalid(f"the size of {node.path!r} is not that of its chunks")


def numbered(packs: Iterator[Pack]) -> dict[bytes, int]:
    """The number of each chunk, by digest: the first place of several."""
    numbers: dict[bytes, int] = {}
    number = 0
    for pack in packs:
        for chunk in pack.chunks:
            numbers.setdefault(chunk.digest, number)
            number += 1
    return numbers
