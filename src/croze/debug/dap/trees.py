"""Files that a user may look at while a build has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from croze.api import gateway_pb2, stat_pb2
from croze.debug.containers import DebugContainer
from croze.rpc.clients import translated
from croze.rpc.held import HeldBuild


class BrowsableTree(Protocol):
    """A filesystem. Methods raise `CrozeError`."""

    async def list(self, path: str) -> Sequence[stat_pb2.Stat]:
        """The entries of a directory, without those below them."""

    async def read(self, path: str, offset: int, length: int) -> bytes:
        """The bytes of a file from an offset on, all of them if no length is given."""


class ResultTree:
    """What an op has made."""

    def __init__(self, bridge: HeldBuild, ref: str) -> None:
        self._bridge = bridge
        self.ref = ref

    async def list(self, path: str) -> Sequence[stat_pb2.Stat]:
        ask = gateway_pb2.ReadDirRequest(Ref=self.ref, DirPath=path.encode())
        with translated():
            answer = await self._bridge.stub.ReadDir(ask, metadata=self._bridge.metadata)
        return answer.entries

    async def read(self, path: str, offset: int, length: int) -> bytes:
        ask = gateway_pb2.ReadFileRequest(Ref=self.ref, FilePath=path.encode())
        ask.Range.CopyFrom(gateway_pb2.FileRange(Offset=offset, Length=length))
        with translated():
            answer = await self._bridge.stub.ReadFile(ask, metadata=self._bridge.metadata)
        return answer.Data


class Opening:
    """Opens a container when somebody first looks into it."""

    def __init__(self, open: Callable[[], Awaitable[DebugContainer]]) -> None:
        self._open = open
        self._opened: DebugContainer | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> DebugContainer:
        async with self._lock:
            if self._opened is None:
                self._opened = await self._open()
            return self._opened

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.release()


class MountTree:
    """A mount of a step that failed, as the step left it."""

    def __init__(self, container: Opening, mount: int) -> None:
        self._container = container
        self._mount = mount

    async def list(self, path: str) -> Sequence[stat_pb2.Stat]:
        return await (await self._container.get()).list(path, self._mount)

    async def read(self, path: str, offset: int, length: int) -> bytes:
        return await (await self._container.get()).read(path, self._mount, offset, length)
