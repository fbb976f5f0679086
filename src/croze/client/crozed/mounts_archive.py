"""Cache mounts in a file: a local cache, an OCI layout, as a tar."""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from croze.aio.threads import abandonable, in_thread
from croze.client.crozed import cache_mounts
from croze.client.crozed.cache_mounts import Say
from croze.client.plan import CacheSpec
from croze.errors import InvalidRequest, NotFound, as_own
from croze.files.atomic import replaced
from croze.files.own import unmoved_place
from croze.fs.temporary import temporary_directory
from croze.rpc.channel import Channel
from croze.session.providers.targets import FdOutput, FileOutput, TargetFile

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_MEMBER = re.compile(r"(?:\./)?(oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})")


async def export_to(channel: Channel, names: Sequence[str], target: Path | None, say: Say) -> None:
    """Write a file, whole or not at all; standard output for None."""
    with temporary_directory("mounts", beside(target)) as folder:
        layout = Path(folder, "layout")  # who writes one locks it, and the folder is locked
        cache = CacheSpec("local", {"dest": str(layout)})
        await cache_mounts.export_to(channel, names, cache, say)
        # Who reads a pipe may take nothing more, whoever writes one say nothing more.
        waits = target is None or replaced(target) is None
        await (abandonable if waits else in_thread)(_pack, layout, target)


async def import_from(
    channel: Channel, names: Sequence[str], source: Path | None, say: Say
) -> None:
    """Merge what is in a file; standard input for None. Raises `InvalidRequest` for another one."""
    with temporary_directory("mounts", beside(source)) as folder:
        await abandonable(_unpack, source, Path(folder))
        if not Path(folder, "index.json").is_file():
            raise InvalidRequest(f"{source or 'standard input'} holds no cache mounts")
        await cache_mounts.import_from(channel, names, CacheSpec("local", {"src": folder}), say)


def beside(file: Path | None) -> Path | None:
    """Where there is room: beside the file, if one may write there, and nobody else can put
    another directory in the place of one's own."""
    place = unmoved_place(os.fspath(file.absolute().parent)) if file is not None else ""
    return Path(place) if place and os.access(place, os.W_OK) else None


def _pack(folder: Path, target: Path | None) -> None:
    output = FileOutput(target) if target is not None else FdOutput(1)
    try:
        with io.BufferedWriter(_RawOutput(output)) as file:
            _write(folder, file)
    except BaseException:
        output.abort()
        raise
    output.commit()


class _RawOutput(io.RawIOBase):
    """An output as a file object."""

    def __init__(self, output: TargetFile) -> None:
        self._output = output

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        plain = bytes(data)
        self._output.write(plain)
        return len(plain)


def _write(folder: Path, file: BinaryIO | io.BufferedWriter) -> None:
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and _MEMBER.fullmatch(str(path.relative_to(folder))):
                archive.add(path, str(path.relative_to(folder)), filter=_plain)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member without owner and time: equal mounts make equal files, whoever writes them."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime, info.mode = 0, 0o644
    return info


def _keep(data: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as target:
        shutil.copyfileobj(data, target, 1 << 20)


def _unpack(source: Path | None, folder: Path) -> None:
    """Only what a layout is of. Blobs are verified by who reads them."""
    try:
        with (
            # Not `sys.stdin`, whose lock the end of the process would wait for.
            open(source or 0, "rb", buffering=0, closefd=source is not None) as file,
            tarfile.open(fileobj=file, mode="r|*") as archive,
        ):
            for member in archive:
                data = archive.extractfile(member) if member.isreg() else None
                if data is not None and (match := _MEMBER.fullmatch(member.name)):
                    _keep(data, folder / match[1])
    except FileNotFoundError:
        raise NotFound(f"open {source}: no such file or directory") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidRequest(
            f"failed to read {source or 'standard input'}: {as_own(error)}"
        ) from None
