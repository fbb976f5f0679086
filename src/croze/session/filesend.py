"""Send a result to the client that asked for it (`moby.filesync.v1.FileSend/DiffCopy`).

Source: BuildKit `session/filesync/filesync.go`. The method carries one of two things, and the
exporter's target at the client decides which: plain bytes (a tar), or a tree in packets of the
file-transfer protocol.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from croze import errors
from croze.session.contract import MessageStream, Session
from croze.session.hostdir import HostFile, open_file
from croze.session.messages import bytes_head
from croze.session.sending import send_tree
from croze.session.transfer import OnBytes, SentTree

METHOD = "/moby.filesync.v1.FileSend/DiffCopy"

EXPORTER_ID = "buildkit-attachable-exporter-id"
MULTI_PLATFORM = "buildkit-exporter-multi-platform"
METADATA_PREFIX = "exporter-md-"

CHUNK_BYTES = 1 << 20
SMALL_BYTES = 1 << 20
"""What is sent sooner than the client's file is asked for."""


class FileWriter:
    """The client's file, open for writing."""

    def __init__(self, call: MessageStream, lent: HostFile | None = None) -> None:
        self._call = call
        self.lent = lent
        """The file itself, if it is on this host: to be written in place of `write`."""

    async def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        for start in range(0, len(view), CHUNK_BYTES):
            piece = view[start : start + CHUNK_BYTES]
            await self._call.send_pieces(bytes_head(len(piece)), piece)

    async def wait_written(self) -> None:
        """Wait until the client has all that was written."""
        await self._call.done_sending()
        while await self._call.receive():
            pass


@asynccontextmanager
async def file_writer(
    session: Session,
    exporter_id: int,
    metadata: Mapping[str, str] | None = None,
    *,
    is_small: bool = False,
) -> AsyncIterator[FileWriter]:
    """Write the one file of an exporter; leaving the block waits for the client to have it.

    `metadata` is the exporter's response so far; `is_small` says that no more than `SMALL_BYTES`
    will be written. Raises `errors.AlreadyExists` when the client wants nothing written because it
    has the result already.
    """
    headers = tuple((METADATA_PREFIX + k, v) for k, v in (metadata or {}).items())
    async with AsyncExitStack() as stack:
        call = await stack.enter_async_context(_call(session, exporter_id, headers))
        lent = None
        if not is_small:
            lent = await stack.enter_async_context(open_file(session, exporter_id))
        writer = FileWriter(call, lent)
        yield writer
        await writer.wait_written()


async def send_dir(
    session: Session,
    exporter_id: int,
    source: SentTree,
    on_bytes: OnBytes | None = None,
    *,
    multi_platform: bool = False,
) -> None:
    """Send a tree to the exporter's directory. `multi_platform` says that this one transfer has
    all platforms in it, as `mode=delete` needs."""
    headers = ((MULTI_PLATFORM, "1"),) if multi_platform else ()
    async with _call(session, exporter_id, headers) as call:
        await send_tree(source, call.receive, call.send, on_bytes)
        await call.done_sending()
        while await call.receive():
            pass


def _call(
    session: Session, exporter_id: int, headers: tuple[tuple[str, str], ...]
) -> AbstractAsyncContextManager[MessageStream]:
    if not session.serves(METHOD):
        raise errors.CrozeError(f"method {METHOD} not supported by the client")
    return session.calls.stream(METHOD, (*headers, (EXPORTER_ID, str(exporter_id))))
