"""Lend SSH agents (`moby.sshforward.v1`).

A container may list the agent's keys and sign with them, no more: every other request is refused
here (draft-miller-ssh-agent, section 5). Private key files are served by an `ssh-agent` of our own
that lives as long as the session.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence

from msgspec import Struct

from croze import errors
from croze.aio.parallel import first_error
from croze.aio.threads import in_thread
from croze.api import ssh_pb2
from croze.fs.temporary import HeldDirectory
from croze.rpc.servers import Context
from croze.session.lent_service import Handler, metadata_of, stream, unary
from croze.session.ssh import CHUNK_BYTES, DEFAULT_ID, KEY_ID

REQUEST_IDENTITIES = 11
SIGN_REQUEST = 13
FAILURE = b"\0\0\0\1\5"
MAX_FRAME_BYTES = 256 * 1024
LARGEST_KEY_BYTES = 100 * 1024
_UNTIL_EOF = 'ssh-agent -D -a "$1" & exec >/dev/null; cat; kill $!; wait'
"""An agent that ends with its input, and so with this process, however that ends."""


class AgentSource(Struct, frozen=True):
    """An agent under an id: one socket, or private key files. No path: `$SSH_AUTH_SOCK`."""

    id: str = DEFAULT_ID
    paths: tuple[str, ...] = ()
    raw: bool = False
    """Forward any socket as it is, whatever it speaks."""


class SshProvider:
    service = "moby.sshforward.v1.SSH"

    def __init__(self, sources: Sequence[AgentSource]) -> None:
        self._agents: dict[str, _Agent] = {}
        for source in sources:
            id = source.id or DEFAULT_ID
            if id in self._agents:
                raise errors.InvalidRequest(f'duplicate agent ID "{id}"')
            try:
                self._agents[id] = _agent(source, id)
            except errors.InvalidRequest as error:
                shown = f"{{{id} [{' '.join(source.paths)}] {str(source.raw).lower()}}}"
                raise error.wrap(f"failed to convert agent config {shown}") from None

    def methods(self) -> Mapping[str, Handler]:
        return {
            "CheckAgent": unary(self._check, ssh_pb2.CheckAgentRequest),
            "ForwardAgent": stream(self._forward, ssh_pb2.BytesMessage),
        }

    def close(self) -> None:
        """End the agents that were started for key files."""
        for agent in self._agents.values():
            agent.close()

    def _find(self, id: str) -> _Agent:
        agent = self._agents.get(id or DEFAULT_ID)
        if agent is None:
            raise errors.CrozeError(f"unset ssh forward key {id or DEFAULT_ID}")
        return agent

    async def _check(
        self, request: ssh_pb2.CheckAgentRequest, context: Context
    ) -> ssh_pb2.CheckAgentResponse:
        self._find(request.ID)
        return ssh_pb2.CheckAgentResponse()

    async def _forward(
        self, messages: AsyncIterator[ssh_pb2.BytesMessage], context: Context
    ) -> None:
        id = metadata_of(context).get(KEY_ID, [""])[0]
        agent = self._find(id)
        try:
            reader, writer = await asyncio.open_unix_connection(await agent.socket())
        except OSError as error:
            raise errors.CrozeError(
                f"failed to dial agent {id or DEFAULT_ID}: {errors.as_own(error)}"
            ) from None
        try:
            pump = _pump_raw if agent.raw else _pump_frames
            await pump(messages, context, reader, writer)
        finally:
            writer.close()


async def _pump_raw(
    messages: AsyncIterator[ssh_pb2.BytesMessage],
    context: Context,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    async def inward() -> None:
        async for message in messages:
            writer.write(message.data)
            await writer.drain()
        writer.write_eof()

    async def outward() -> None:
        while data := await reader.read(CHUNK_BYTES):
            await context.write(ssh_pb2.BytesMessage(data=data))

    async with first_error(), asyncio.TaskGroup() as group:
        group.create_task(inward())
        await outward()


async def _pump_frames(
    messages: AsyncIterator[ssh_pb2.BytesMessage],
    context: Context,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Requests are answered one after the other, as agents do."""
    async for request in _frames(messages):
        if request[4] not in (REQUEST_IDENTITIES, SIGN_REQUEST):
            await context.write(ssh_pb2.BytesMessage(data=FAILURE))
            continue
        writer.write(request)
        await writer.drain()
        answer = await reader.readexactly(4)
        answer += await reader.readexactly(int.from_bytes(answer, "big"))
        await context.write(ssh_pb2.BytesMessage(data=answer))


async def _frames(messages: AsyncIterator[ssh_pb2.BytesMessage]) -> AsyncIterator[bytes]:
    """Whole requests, each with its four bytes of length."""
    buffer = bytearray()
    async for message in messages:
        buffer += message.data
        while len(buffer) >= 4:
            size = int.from_bytes(buffer[:4], "big")
            if not 0 < size <= MAX_FRAME_BYTES:
                raise errors.InvalidRequest(f"ssh agent request of {size} bytes")
            if len(buffer) < 4 + size:
                break
            yield bytes(buffer[: 4 + size])
            del buffer[: 4 + size]


# -- agents ----------------------------------------------------------------------------------


class _Agent:
    """A socket that is there, or an `ssh-agent` started when it is first asked for."""

    def __init__(self, socket_path: str, keys: Mapping[str, bytes], raw: bool) -> None:
        self.raw = raw
        self._path = socket_path
        self._keys = keys
        self._folder: HeldDirectory | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = asyncio.Lock()

    async def socket(self) -> str:
        async with self._lock:
            if not self._path:
                self._path = await in_thread(self._start)
        return self._path

    def _start(self) -> str:
        if not (shutil.which("ssh-agent") and shutil.which("ssh-add")):
            raise errors.Unsupported("private key files need ssh-agent and ssh-add")
        self._folder = HeldDirectory("agent")
        path = os.path.join(self._folder.path, "sock")
        self._process = subprocess.Popen(
            ["sh", "-c", _UNTIL_EOF, "sh", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # It prints its variables once it listens.
        assert self._process.stdout is not None
        self._process.stdout.readline()
        for name, key in self._keys.items():
            _add_key(path, name, key)
        return path

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()
        if self._folder is not None:
            self._folder.close()


def _add_key(agent: str, name: str, key: bytes) -> None:
    process = subprocess.run(
        ["ssh-add", "-q", "-"],
        input=key,
        env={**os.environ, "SSH_AUTH_SOCK": agent, "SSH_ASKPASS_REQUIRE": "never"},
        capture_output=True,
        check=False,
    )
    if process.returncode:
        reason = process.stderr.decode(errors="replace").strip()
        raise errors.CrozeError(f"failed to add {name} to agent: {reason}")


def _agent(source: AgentSource, id: str) -> _Agent:
    paths = tuple(path for path in source.paths if path)
    if source.raw and len(source.paths) != 1:
        raise errors.InvalidRequest("raw mode must supply exactly one path")
    if not paths:
        paths = (os.environ.get("SSH_AUTH_SOCK", ""),)
    if not paths[0]:
        raise errors.InvalidRequest(
            "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set"
        )
    try:
        return _agent_at(paths, raw=source.raw)
    except errors.InvalidRequest as error:
        raise error.wrap(f'failed to convert agent config for ID: "{id}"') from None


def _agent_at(paths: Sequence[str], *, raw: bool) -> _Agent:
    """What is not there, or is neither a socket nor a key, is said before the build begins."""
    keys: dict[str, bytes] = {}
    socket = ""
    for path in paths:
        if socket:
            raise errors.InvalidRequest("only single socket allowed")
        if _is_socket(path):
            socket = path
        else:
            keys[path] = _read_key(path)
    if socket and keys:
        raise errors.InvalidRequest("invalid combination of keys and sockets")
    if raw and not socket:
        raise errors.InvalidRequest("raw mode only supported with socket paths")
    return _Agent(socket, keys, raw)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError as error:
        raise errors.InvalidRequest(_go_words("stat", error)) from None


def _read_key(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            key = file.read(LARGEST_KEY_BYTES)
    except PermissionError as error:
        raise errors.InvalidRequest(f"failed to open {path}: {_go_words('open', error)}") from None
    except OSError as error:
        raise errors.InvalidRequest(f"failed to read {path}: {_go_words('read', error)}") from None
    if b"PRIVATE KEY-----" not in key:
        raise errors.InvalidRequest(f"failed to parse {path}: ssh: no key found")
    return key


def _go_words(call: str, error: OSError) -> str:
    return f"{call} {error.filename}: {errors.os_reason(error)}"
