"""Lend local directories (`moby.filesync.v1.FileSync`): the sending end of the transfer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from croze import errors
from croze.fs.sync.send import Sender
from croze.fs.tree.walk import WalkOptions
from croze.rpc.call import Requests, ServerCall
from croze.session.filesync import DirRequest
from croze.session.lent_service import Handler, metadata_of, packets_of, raw_stream
from croze.session.sending import send_tree


class LentDir(Struct, frozen=True):
    """A directory, without what its own `exclude` patterns match."""

    path: Path
    exclude: tuple[str, ...] = ()


class FilesProvider:
    """Answers `DiffCopy` for each directory by name; `TarStream` is announced and refused, as
    BuildKit's clients do since none of them sends archives any more."""

    service = "moby.filesync.v1.FileSync"

    def __init__(self, dirs: Mapping[str, LentDir]) -> None:
        self._dirs = dict(dirs)

    def methods(self) -> Mapping[str, Handler]:
        return {"DiffCopy": raw_stream(self._diff_copy), "TarStream": raw_stream(_tar_stream)}

    async def _diff_copy(self, messages: Requests[bytes], context: ServerCall) -> None:
        request = DirRequest.of_metadata(metadata_of(context))
        lent = self._dirs.get(request.name)
        if lent is None:
            raise errors.NotFound(f'no access allowed to dir "{request.name}"')
        options = WalkOptions(
            include=request.include,
            exclude=(*lent.exclude, *request.exclude),
            follow_paths=request.follow_paths,
        )
        root = os.fspath(lent.path)
        with _opened(root) as root_fd:
            sender = Sender(root, options, reset_owner=True, root_fd=root_fd)
            await send_tree(sender, *packets_of(messages, context))


@contextmanager
def _opened(root: str) -> Iterator[int | None]:
    """A directory; None for what is none, as the walk will say."""
    try:
        fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


async def _tar_stream(messages: Requests[bytes], context: ServerCall) -> None:
    raise errors.CrozeError("failed to negotiate protocol")
