"""A tar made on the way: the members are small, or files that are sent in pieces."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from croze.aio.threads import chunks

_CHUNK_BYTES = 1 << 20


class ArchiveMember(Struct, frozen=True):
    """A file's bytes, or the file they are in; neither for a directory. Times are 0."""

    name: str
    mode: int
    data: bytes | None = None
    file: Path | None = None
    size: int = 0


def _header(member: ArchiveMember) -> bytes:
    info = tarfile.TarInfo(member.name)
    info.mode = member.mode
    if member.data is None and member.file is None:
        info.type = tarfile.DIRTYPE
        info.name = member.name.rstrip("/")
    else:
        info.size = len(member.data) if member.data is not None else member.size
    return info.tobuf(tarfile.PAX_FORMAT)


async def stream(members: Sequence[ArchiveMember]) -> AsyncGenerator[bytes, None]:
    """The archive, members sorted by name."""
    for member in sorted(members, key=lambda each: each.name):
        yield _header(member)
        size = 0
        if member.data is not None:
            size = len(member.data)
            yield member.data
        elif member.file is not None:
            async for data in chunks(member.file, _CHUNK_BYTES):
                size += len(data)
                yield data
        yield bytes(-size % 512)
    yield bytes(1024)


def blob_members(files: Mapping[str, tuple[Path, int]]) -> list[ArchiveMember]:
    """Blobs by digest, in the places of an OCI layout."""
    folders = {digest.partition(":")[0] for digest in files}
    members = [ArchiveMember("blobs/", 0o755)] if folders else []
    members += [ArchiveMember(f"blobs/{folder}/", 0o755) for folder in folders]
    members += [
        ArchiveMember(blob_path(digest), 0o444, file=path, size=size)
        for digest, (path, size) in files.items()
    ]
    return members


def blob_path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
