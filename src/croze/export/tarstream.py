"""A tar made on the way: the members are small, or files that are sent in pieces."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from msgspec import Struct

from croze.aio.threads import chunks, in_thread
from croze.errors import CrozeError
from croze.fs.filecopy import WholeFile, put_together
from croze.fs.tar.header import BLOCK, DIRECTORY, END_OF_ARCHIVE, REGULAR, encode, padding
from croze.session.filesend import SMALL_BYTES, FileWriter
from croze.workers.pool import Pool

_CHUNK_BYTES = 1 << 20


class ArchiveMember(Struct, frozen=True):
    """A file's bytes, or the file they are in; neither for a directory. Times are 0."""

    name: str
    mode: int
    data: bytes | None = None
    file: Path | None = None
    size: int = 0


def _header(member: ArchiveMember) -> bytes:
    if member.data is None and member.file is None:
        return encode(member.name.rstrip("/") + "/", DIRECTORY, member.mode)
    size = len(member.data) if member.data is not None else member.size
    return encode(member.name, REGULAR, member.mode, size=size)


def _parts(members: Sequence[ArchiveMember]) -> Iterator[bytes | WholeFile]:
    """The archive, members sorted by name."""
    for member in sorted(members, key=lambda each: each.name):
        yield _header(member)
        size = 0
        if member.data is not None:
            size = len(member.data)
            yield member.data
        elif member.file is not None:
            size = member.size
            yield WholeFile(str(member.file), size)
        yield padding(size)
    yield END_OF_ARCHIVE


async def stream(members: Sequence[ArchiveMember]) -> AsyncGenerator[bytes, None]:
    """The archive's bytes."""
    for part in _parts(members):
        if isinstance(part, bytes):
            yield part
        else:
            async with aclosing(chunks(part.path, _CHUNK_BYTES)) as pieces:
                async for data in pieces:
                    yield data


def is_small(members: Sequence[ArchiveMember]) -> bool:
    """Whether the archive is small enough to be made and sent in one piece."""
    heads = (len(members) + 1) * 2 * BLOCK
    return heads + sum(len(each.data or b"") + each.size for each in members) <= SMALL_BYTES


def whole(members: Sequence[ArchiveMember]) -> bytes:
    """The bytes of a small archive. Raises `CrozeError` for a file of another size."""
    return b"".join(part if isinstance(part, bytes) else _read(part) for part in _parts(members))


def _read(file: WholeFile) -> bytes:
    with open(file.path, "rb") as opened:
        data = opened.read(file.size + 1)
    if len(data) != file.size:
        raise CrozeError(f"{file.path} is not of {file.size} bytes")
    return data


async def send(members: Sequence[ArchiveMember], file: FileWriter, pool: Pool) -> None:
    """Send the archive to the client: written into its file where that is lent, else as bytes."""
    if file.lent is not None:
        await pool.run(put_together, file.lent.path, list(_parts(members)))
        return
    if is_small(members):
        await file.write(await in_thread(whole, members))
        return
    async with aclosing(stream(members)) as pieces:
        async for data in pieces:
            await file.write(data)


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
    """Where a blob is in an OCI layout (OCI image-spec, image-layout.md)."""
    return "blobs/" + digest.replace(":", "/")
