"""The other end of the bridge: for frontends that are written in Python.

    from croze import llb
    from croze.gateway import guest

    async def build(gateway: guest.Gateway) -> guest.Result:
        text = await (await gateway.solve(llb.local("dockerfile"))).read_file("Buildfile")
        ...
        return guest.Result(await gateway.solve(state))

    if __name__ == "__main__":
        guest.main(build)

The image of such a frontend has this as its entrypoint; `examples/frontend` is one. The daemon
speaks HTTP/2 over standard input and output, so what is printed goes to standard error, which users
see as the log.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from msgspec import Struct, field

from croze import llb
from croze.aio.descriptors import write_all
from croze.aio.parallel import meanwhile
from croze.aio.streams import READ_BYTES
from croze.api import gateway_pb2, ops_pb2, stat_pb2
from croze.api.attrs import to_attrs
from croze.errors import CrozeError
from croze.gotypes.strings import to_bytes
from croze.rpc.status import to_status
from croze.session.contract import Calls, Q, R
from croze.session.tunnel import SessionTunnel

_SERVICE = "/moby.buildkit.v1.frontend.LLBBridge"
_OPT = "BUILDKIT_FRONTEND_OPT_"


class Ref(Struct, frozen=True):
    """A filesystem in the daemon; an empty `id` is an empty one."""

    gateway: Gateway
    id: str

    async def read_file(self, path: str) -> bytes:
        """A file's whole content; links are followed within the filesystem. Raises `CrozeError`."""
        request = gateway_pb2.ReadFileRequest(Ref=self.id, FilePath=to_bytes(path))
        answer = await self.gateway.ask("ReadFile", request, gateway_pb2.ReadFileResponse)
        return answer.Data

    async def read_dir(self, path: str, include: str = "") -> list[stat_pb2.Stat]:
        """What is directly in a directory, as fsutil's `Stat`; `include` is a pattern for names."""
        request = gateway_pb2.ReadDirRequest(
            Ref=self.id, DirPath=to_bytes(path), IncludePattern=to_bytes(include)
        )
        answer = await self.gateway.ask("ReadDir", request, gateway_pb2.ReadDirResponse)
        return list(answer.entries)

    async def stat_file(self, path: str) -> stat_pb2.Stat:
        """What is at a path, as fsutil's `Stat`. Raises `CrozeError`."""
        request = gateway_pb2.StatFileRequest(Ref=self.id, Path=to_bytes(path))
        answer = await self.gateway.ask("StatFile", request, gateway_pb2.StatFileResponse)
        return answer.stat


class GuestImage(Struct, frozen=True):
    """An image as its name stands for it now. `ref` may be another name than was asked for."""

    ref: str
    digest: str
    config: bytes


class Result(Struct, frozen=True):
    """Either `ref`, or `refs` by platform. `metadata` such as `containerimage.config` says what the
    exported image is like."""

    ref: Ref | None = None
    refs: Mapping[str, Ref] | None = None
    metadata: Mapping[str, bytes] = field(default_factory=dict)

    def message(self) -> gateway_pb2.Result:
        """The result as `Return` takes it."""
        message = gateway_pb2.Result(metadata=self.metadata)
        if self.refs is not None:
            message.refs.SetInParent()
            for key, ref in self.refs.items():
                message.refs.refs[key].id = ref.id
        else:
            message.ref.id = self.ref.id if self.ref else ""
        return message


class Gateway(Struct, frozen=True):
    """The daemon, as a frontend sees it. `opts` are the build's options, `session` the client's."""

    calls: Calls
    opts: Mapping[str, str]
    session: str

    async def solve(self, what: llb.State | ops_pb2.Definition, *, evaluate: bool = False) -> Ref:
        """A filesystem of the daemon's, made when it is first looked at, or now with `evaluate`."""
        definition = what if isinstance(what, ops_pb2.Definition) else what.marshal()
        result = await self._solve(
            gateway_pb2.SolveRequest(Definition=definition, Evaluate=evaluate)
        )
        return Ref(self, result.ref.id)

    async def frontend(self, name: str, opts: Mapping[str, str]) -> Result:
        """The result of another frontend, such as `dockerfile.v0`."""
        result = await self._solve(
            gateway_pb2.SolveRequest(Frontend=name, FrontendOpt=to_attrs(opts))
        )
        metadata = dict(result.metadata)
        if result.WhichOneof("result") == "refs":
            refs = {key: Ref(self, ref.id) for key, ref in result.refs.refs.items()}
            return Result(refs=refs, metadata=metadata)
        return Result(Ref(self, result.ref.id), metadata=metadata)

    async def resolve_image(self, name: str) -> GuestImage:
        """An image in a registry: its digest, and the JSON of its config for the worker's
        platform."""
        request = gateway_pb2.ResolveImageConfigRequest(Ref=name)
        answer = await self.ask(
            "ResolveImageConfig", request, gateway_pb2.ResolveImageConfigResponse
        )
        return GuestImage(answer.Ref, answer.Digest, answer.Config)

    async def inputs(self) -> Mapping[str, ops_pb2.Definition]:
        """The definitions of named inputs that the client has made already."""
        request = gateway_pb2.InputsRequest()
        return dict((await self.ask("Inputs", request, gateway_pb2.InputsResponse)).Definitions)

    async def ask(self, method: str, request: Q, answer: type[R]) -> R:
        """Call a method of the bridge. Raises the `CrozeError` that the daemon answers with."""
        return await self.calls.ask(f"{_SERVICE}/{method}", request, answer)

    async def _solve(self, request: gateway_pb2.SolveRequest) -> gateway_pb2.Result:
        request.allowResultReturn = request.allowResultArrayRef = True
        return (await self.ask("Solve", request, gateway_pb2.SolveResponse)).result


Build = Callable[[Gateway], Awaitable[Result]]


def main(build: Build) -> None:
    """Answer the one request that this process was started for."""
    output_fd = os.dup(1)
    os.dup2(2, 1)
    asyncio.run(_answer(build, 0, output_fd))


async def _answer(build: Build, heard: int, output_fd: int) -> None:
    async with connected(heard, output_fd) as calls:
        gateway = Gateway(calls, options(os.environ), _session())
        await gateway.ask("Return", await _outcome(build, gateway), gateway_pb2.ReturnResponse)


async def _outcome(build: Build, gateway: Gateway) -> gateway_pb2.ReturnRequest:
    try:
        return gateway_pb2.ReturnRequest(result=(await build(gateway)).message())
    except CrozeError as error:
        return gateway_pb2.ReturnRequest(error=to_status(error))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return gateway_pb2.ReturnRequest(error=to_status(error))


def options(env: Mapping[str, str]) -> dict[str, str]:
    """The build's options, each of which is a variable of the environment."""
    pairs = (value.partition("=") for name, value in env.items() if name.startswith(_OPT))
    return {key: value for key, _, value in pairs}


def _session() -> str:
    return os.environ.get("BUILDKIT_SESSION_ID", "")


class _Descriptors:
    """Two descriptors as a `rpc.bytestream.ByteStream`."""

    def __init__(self, reader: asyncio.StreamReader, output_fd: int) -> None:
        self._reader = reader
        self._said = output_fd
        os.set_blocking(output_fd, False)

    async def read(self) -> bytes:
        return await self._reader.read(READ_BYTES)

    async def write(self, data: bytes) -> None:
        await write_all(self._said, data)


@asynccontextmanager
async def connected(heard: int, output_fd: int) -> AsyncIterator[Calls]:
    """The daemon at the other end of two descriptors."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(heard, "rb", closefd=False)
    )
    tunnel = SessionTunnel(_Descriptors(reader, output_fd))
    async with meanwhile() as beside:
        beside.begin(tunnel.run())
        try:
            yield tunnel
        finally:
            transport.close()
