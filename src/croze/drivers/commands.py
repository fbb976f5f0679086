"""Daemons behind a command that carries their connection on its standard streams.

    ssh://[USER@]HOST[:PORT][/SOCKET]       ssh … -- HOST buildctl [--addr unix://SOCKET] dial-stdio
    docker-container://NAME[?context=…]     docker exec -i NAME buildctl dial-stdio
    kube-pod://POD[?context&namespace&container]   kubectl exec -i POD -- buildctl dial-stdio

Source: BuildKit `client/connhelper`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import SplitResult, parse_qs

from croze.aio.threads import finish
from croze.drivers.tunnel import SocketStreams, Streams
from croze.errors import InvalidRequest, Unavailable, Unsupported
from croze.http.urls import parse_url

END_PATIENCE_S = 3.0
_EXIT_PATIENCE_S = 10.0
_REST_S = 0.2
_COMPLAINT_BYTES = 4096
_KUBE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")


def command_for(endpoint: str) -> list[str] | None:
    """The command that carries a connection; None for endpoints that are dialled directly.

    Raises `InvalidRequest` for an address that says too little or too much.
    """
    url = parse_url(endpoint)
    match url.scheme:
        case "ssh":
            return _ssh(url)
        case "docker-container":
            return _docker_container(url)
        case "kube-pod":
            return _kube_pod(url)
        case "npipe":
            raise Unsupported(f"{endpoint}: named pipes are of Windows; name a unix:// or tcp://")
        case _:
            return None


def _ssh(url: SplitResult) -> list[str]:
    if url.password is not None:
        raise InvalidRequest("plain-text password is not supported")
    if not url.hostname or url.hostname.startswith("-"):
        raise InvalidRequest("no host specified")
    if url.query:
        raise InvalidRequest(f'extra query after the host: "{url.query}"')
    if url.fragment:
        raise InvalidRequest(f'extra fragment after the host: "{url.fragment}"')
    user = ["-l", url.username] if url.username else []
    port = ["-p", str(url.port)] if url.port else []
    socket = ["--addr", f"unix://{url.path}"] if url.path else []
    return ["ssh", *user, *port, "--", url.hostname, "buildctl", *socket, "dial-stdio"]


def _docker_container(url: SplitResult) -> list[str]:
    if not url.hostname or url.hostname.startswith("-"):
        raise InvalidRequest("url lacks container name")
    context = _query(url, "context")
    options = [f"--context={context}"] if context else []
    container = url.netloc.partition("?")[0]
    return ["docker", *options, "exec", "-i", container, "buildctl", "dial-stdio"]


def _kube_pod(url: SplitResult) -> list[str]:
    if not url.hostname:
        raise InvalidRequest("url lacks pod name")
    for what, name in (
        ("namespace", _query(url, "namespace")),
        ("pod", url.hostname),
        ("container", _query(url, "container")),
    ):
        if name and not _KUBE_NAME.match(name):
            raise InvalidRequest(f'unsupported {what} name: "{name}"')
    options = [f"--{key}={_query(url, key)}" for key in ("context", "namespace")]
    container = f"--container={_query(url, 'container')}"
    run = ["exec", container, "-i", url.hostname, "--", "buildctl", "dial-stdio"]
    return ["kubectl", *options, *run]


def _query(url: SplitResult, key: str) -> str:
    return parse_qs(url.query).get(key, [""])[-1]


@asynccontextmanager
async def process_streams(command: Sequence[str]) -> AsyncIterator[SocketStreams]:
    """The command's standard streams; it is gone on exit. What it says goes to our stderr.

    Raises `Unavailable` when it can't be started.
    """
    async with _started(command) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout, process.stdin


class CommandFailed(Unavailable):
    """A command that was to carry a connection has ended with a failure. Another attempt may have
    more luck: the daemon behind it may be about to start."""


@asynccontextmanager
async def carrying_streams(command: Sequence[str]) -> AsyncIterator[Streams]:
    """Like `process_streams`, but where the streams end since the command has failed, their reader
    raises `CommandFailed`, with what it has said on standard error."""
    async with _started(command, stderr=asyncio.subprocess.PIPE) as process:
        output = _Output(command, process)
        listening = asyncio.ensure_future(output.listen())  # noqa: TID251 - owned right here
        try:
            assert process.stdin is not None
            yield output, process.stdin
        finally:
            listening.cancel()
            await finish(asyncio.wait([listening]))


class _Output:
    """What a command says, and at its end whether it has failed (docker/cli `commandconn`)."""

    def __init__(self, command: Sequence[str], process: asyncio.subprocess.Process) -> None:
        self._command = command
        self._process = process
        self._complaint = b""
        self._has_all = asyncio.Event()

    async def listen(self) -> None:
        """Remember the last of what it says on standard error."""
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(_COMPLAINT_BYTES):
            self._complaint = (self._complaint + data)[-_COMPLAINT_BYTES:]
        self._has_all.set()

    async def read(self, n: int = -1, /) -> bytes:
        """See `TunnelReader`. Raises `CommandFailed`."""
        assert self._process.stdout is not None
        if data := await self._process.stdout.read(n):
            return data
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EXIT_PATIENCE_S):
                if code := await self._process.wait():
                    raise await self._failure(code)
        return b""

    async def _failure(self, code: int) -> CommandFailed:
        with contextlib.suppress(TimeoutError):  # who it has left behind may have it open
            await asyncio.wait_for(self._has_all.wait(), _REST_S)
        complaint = self._complaint.decode(errors="replace").strip()
        how = f"exit status {code}" if code > 0 else f"signal {-code}"
        return CommandFailed(
            f"command [{' '.join(self._command)}] has exited with {how}, make sure the URL is "
            f"valid: stderr={complaint}"
        )


@asynccontextmanager
async def _started(
    command: Sequence[str], stderr: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=stderr
        )
    except OSError as error:
        raise Unavailable(f"could not run {command[0]}: {error.strerror}") from None
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
