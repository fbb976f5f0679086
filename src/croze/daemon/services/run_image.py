"""Run an image of the local store in a container, with its streams on a gRPC call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import get_args

from croze.aio.backlog import Backlog
from croze.api import engine_pb2
from croze.daemon.engine.build_services import BuildServices
from croze.errors import InvalidRequest
from croze.image import config as configs
from croze.image import platform as platforms
from croze.image import reference
from croze.image.config import RunConfig
from croze.runtime.contract import ContainerSpec, NetworkMode, Process, Stdio
from croze.runtime.errors import StartError
from croze.sources.contract import SourceContext
from croze.sources.request import SourceRequest
from croze.status import Silent
from croze.store.contract import ImmutableRef, MutableRef, RefStore

Incoming = AsyncIterator[engine_pb2.RunRequest]
Write = Callable[[engine_pb2.RunResponse], Awaitable[None]]


class RunOutput:
    """The container's output on its way to a client that may be slow."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[engine_pb2.RunResponse] = asyncio.Queue()
        self.backlog = Backlog()

    def stdout(self, data: bytes) -> None:
        self._put(engine_pb2.RunResponse(stdout=data))

    def stderr(self, data: bytes) -> None:
        self._put(engine_pb2.RunResponse(stderr=data))

    def exit(self, code: int) -> None:
        self._put(engine_pb2.RunResponse(exit_code=code))

    async def pump(self, write: Write) -> None:
        """Write messages as they come, up to the one with the exit code."""
        while True:
            response = await self._queue.get()
            await write(response)
            self.backlog.shrank(_size(response))
            if response.WhichOneof("message") == "exit_code":
                return

    def _put(self, response: engine_pb2.RunResponse) -> None:
        self.backlog.grew(_size(response))
        self._queue.put_nowait(response)


def _size(response: engine_pb2.RunResponse) -> int:
    return len(response.stdout) + len(response.stderr)


async def run(services: BuildServices, incoming: Incoming, outgoing: RunOutput) -> None:
    """Serve one `Run` call: the last message carries the exit code. Raises `NotFound` for an
    unknown image and what `Executor.run` raises."""
    start = await _first(incoming)
    config, ref = await open_image(services, reference.normalize(start.image), start.platform)
    spec_network = network_mode(start.network)
    process = process_of(start, config)
    async with _writable(services.engine.store.refs, ref) as root:
        spec = ContainerSpec(
            root=await root.mounts(readonly=False),
            hostname=start.hostname or "croze",
            network=spec_network,
            traced=False,
        )
        stdin: asyncio.Queue[bytes] = asyncio.Queue(maxsize=16)
        resize: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        stdio = Stdio(
            stdout=outgoing.stdout,
            stderr=outgoing.stderr,
            stdin=_until_empty(stdin) if start.interactive else None,
            resize=_forever(resize) if start.tty else None,
            backlog=outgoing.backlog,
        )
        async with (
            services.executor.start(spec, process, stdio) as container,
            asyncio.TaskGroup() as group,
        ):
            feeding = group.create_task(_feed(incoming, stdin, resize, container.kill))
            try:
                code = await container.wait()
            except StartError as error:
                # The runtime has written the reason to standard error itself.
                code = start_error_code(str(error))
            feeding.cancel()
    outgoing.exit(code)


def start_error_code(message: str) -> int:
    """The exit code of docker run for a container that did not start: 127 for a command that isn't
    there, 126 for one that can't be executed."""
    missing = ("not found", "no such file or directory")
    return 127 if any(words in message.lower() for words in missing) else 126


async def _first(incoming: Incoming) -> engine_pb2.RunStart:
    async for request in incoming:
        if request.WhichOneof("message") == "start":
            return request.start
        break
    raise InvalidRequest("the first message of a run must be `start`")


async def open_image(
    services: BuildServices, name: str, target: str
) -> tuple[RunConfig, ImmutableRef | None]:
    """An image's settings and its (lazy) filesystem, by its full name and a platform or none."""
    platform = platforms.normalize(
        platforms.parse(target) if target else platforms.default_platform()
    )
    resolved = await services.images.resolve_config(name, platform, "local", ())
    request = SourceRequest(
        f"docker-image://{name}", {"image.resolvemode": "local"}, platform=platform
    )
    source = services.image_sources.open(request)
    context = SourceContext(sessions=(), progress=Silent())
    await source.key(context, 0)
    return configs.parse(resolved.config).config, await source.snapshot(context)


@asynccontextmanager
async def _writable(refs: RefStore, ref: ImmutableRef | None) -> AsyncIterator[MutableRef]:
    """A throw-away layer over the image."""
    try:
        layer = await refs.new(ref, description="container", record_type="internal")
    finally:
        if ref is not None:
            await ref.release()
    try:
        yield layer
    finally:
        await layer.release()


def network_mode(name: str) -> NetworkMode:
    """`default` (or nothing), `host` or `none`."""
    chosen = "sandbox" if name in ("", "default") else name
    for known_mode in get_args(NetworkMode):
        if chosen == known_mode:
            mode: NetworkMode = known_mode
            return mode
    raise InvalidRequest(f"invalid network mode {name}: use default, host or none")


def process_of(start: engine_pb2.RunStart, config: RunConfig) -> Process:
    """The image's settings with the caller's on top. Raises `InvalidRequest` without a command."""
    entrypoint: Sequence[str] = config.entrypoint
    command: Sequence[str] = config.cmd
    if start.entrypoint or start.clear_entrypoint:
        # As in Docker: another entrypoint doesn't get the image's CMD.
        entrypoint, command = start.entrypoint, ()
    args = [*entrypoint, *(start.command or command)]
    if not args:
        raise InvalidRequest(f"no command specified, and the image {start.image} has none")
    return Process(
        args=args,
        env=merge_env(config.env, start.env, tty=start.tty),
        cwd=start.workdir or config.working_dir or "/",
        user=start.user or config.user,
        tty=start.tty,
    )


DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def merge_env(image: Sequence[str], added: Sequence[str], *, tty: bool) -> list[str]:
    """The image's variables with those added; later ones win. A PATH and, on a terminal, a TERM are
    always there."""
    merged = {"PATH": DEFAULT_PATH, **({"TERM": "xterm"} if tty else {})}
    for pair in (*image, *added):
        name, _, value = pair.partition("=")
        merged[name] = value
    return [f"{name}={value}" for name, value in merged.items()]


async def _feed(
    incoming: Incoming,
    stdin: asyncio.Queue[bytes],
    resize: asyncio.Queue[tuple[int, int]],
    kill: Callable[[int], Awaitable[None]],
) -> None:
    """Hand the client's messages on until it has no more."""
    async for request in incoming:
        kind = request.WhichOneof("message")
        if kind == "stdin":
            await stdin.put(request.stdin)
        elif kind == "resize":
            await resize.put((request.resize.rows, request.resize.columns))
        elif kind == "signal":
            await kill(request.signal)


async def _until_empty(queue: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
    while data := await queue.get():
        yield data


async def _forever(queue: asyncio.Queue[tuple[int, int]]) -> AsyncIterator[tuple[int, int]]:
    while True:
        yield await queue.get()
