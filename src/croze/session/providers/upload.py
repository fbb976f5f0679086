"""Lend byte streams for the daemon to pull once, such as a tar on standard input."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from posixpath import basename
from typing import Protocol

from croze import errors
from croze.aio.threads import abandonable
from croze.api import upload_pb2
from croze.identity import new_id
from croze.rpc.servers import Context
from croze.session.lent_service import Handler, metadata_of, stream

CHUNK_BYTES = 1 << 20


class UploadSource(Protocol):
    """A binary file; read on a thread."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""

    def close(self) -> None:
        """Close the file."""


class UploadProvider:
    service = "moby.upload.v1.Upload"

    def __init__(self, files: Mapping[str, UploadSource] | None = None) -> None:
        self._files: dict[str, UploadSource] = dict(files or {})

    def methods(self) -> Mapping[str, Handler]:
        return {"Pull": stream(self._pull, upload_pb2.BytesMessage)}

    def add(self, file: UploadSource) -> str:
        """Lend a file; returns the URL that stands for it. It is closed when it has been read."""
        id = new_id()
        self._files[id] = file
        return f"http://buildkit-session/{id}"

    async def _pull(
        self, messages: AsyncIterator[upload_pb2.BytesMessage], context: Context
    ) -> None:
        name = basename(metadata_of(context).get("urlpath", [""])[0])
        file = self._files.pop(name, None)
        if file is None:
            raise errors.CrozeError(f"no http response from session for {name}")
        try:
            while data := await abandonable(file.read, CHUNK_BYTES):
                await context.write(upload_pb2.BytesMessage(data=data))
        except asyncio.CancelledError:
            raise  # a read of standard input may wait in it still: it goes with the process
        except BaseException:
            file.close()
            raise
        file.close()
