"""Lend local directories (`moby.filesync.v1.FileSync`): the sending end of the transfer."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from croze import errors
from croze.api import wire_pb2
from croze.fs.entry import Entry
from croze.fs.walk import WalkOptions, walk
from croze.grpc_errors import Context
from croze.session.filesync import DirRequest
from croze.session.provider import Handler, metadata_of, stream
from croze.session.transfer import DATA_BYTES, send_tree


@dataclass(frozen=True)
class LentDir:
    """A directory, without what its own `exclude` patterns match."""

    path: Path
    exclude: tuple[str, ...] = ()


class FilesProvider:
    """Answers `DiffCopy` for each directory by name."""

    service = "moby.filesync.v1.FileSync"

    def __init__(self, dirs: Mapping[str, LentDir]) -> None:
        self._dirs = dict(dirs)

    def methods(self) -> Mapping[str, Handler]:
        return {"DiffCopy": stream(self._diff_copy, wire_pb2.Packet)}

    async def _diff_copy(self, messages: AsyncIterator[wire_pb2.Packet], context: Context) -> None:
        request = DirRequest.of_metadata(metadata_of(context))
        lent = self._dirs.get(request.name)
        if lent is None:
            raise errors.NotFound(f'no access allowed to dir "{request.name}"')
        options = WalkOptions(
            include=request.include,
            exclude=(*lent.exclude, *request.exclude),
            follow_paths=request.follow_paths,
        )

        async def read() -> wire_pb2.Packet | None:
            async for packet in messages:
                return packet
            return None

        await send_tree(DirSource(lent.path, options), read, context.write)


class DirSource:
    """A directory's entries, all owned by root as BuildKit's clients send them."""

    def __init__(self, root: Path, options: WalkOptions, *, keep_owner: bool = False) -> None:
        self._root = os.fspath(root)
        self._options = options
        self._keep_owner = keep_owner
        self._paths: dict[int, str] = {}

    def entries(self) -> Iterator[Entry]:
        for index, entry in enumerate(walk(self._root, self._options)):
            if stat.S_ISREG(entry.mode):
                self._paths[index] = entry.path
            if not self._keep_owner and (entry.uid or entry.gid):
                entry = msgspec.structs.replace(entry, uid=0, gid=0)
            yield entry

    def chunks(self, id: int) -> Iterator[bytes]:
        path = self._paths.pop(id, None)
        if path is None:
            raise errors.CrozeError(f"invalid file id {id}")
        fd = os.open(os.path.join(self._root, path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            while data := os.read(fd, DATA_BYTES):
                yield data
        finally:
            os.close(fd)
