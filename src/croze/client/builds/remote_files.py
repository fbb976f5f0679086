"""Files of a git repository or a web server, read by the daemon.

Source: buildx `bake/remote.go`, `bake/gitauth.go`, `build/url.go`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from croze import llb
from croze.client.plan import AgentFrom, SecretFrom, SolvePlan
from croze.client.planning.inputs import is_git
from croze.errors import CrozeError, InvalidRequest
from croze.files.redact import redact
from croze.fs.tar.recognize import begins_archive
from croze.llb.gitref import git_state, parse_git_ref
from croze.llb.giturl import parse_git_url

if TYPE_CHECKING:
    from croze.api import control_pb2, gateway_pb2
    from croze.client.connect import Client
    from croze.rpc.held import HeldBuild

T = TypeVar("T")

MAX_BYTES = 2 * 1024 * 1024
"""The largest definition, or Dockerfile, that is a file of a web server."""
MAX_TREE_FILE_BYTES = 8 * MAX_BYTES
"""The largest file in a repository or an archive: a message has a limit, too."""
HEADER_BYTES = 1024
_FILE = "context"
_DOCKERFILE = "Dockerfile"
_SECRETS = {
    "GIT_AUTH_TOKEN": "BUILDX_BAKE_GIT_AUTH_TOKEN",
    "GIT_AUTH_HEADER": "BUILDX_BAKE_GIT_AUTH_HEADER",
}


class RemoteFiles(Struct, frozen=True):
    """What has been read: names and contents, and the tree that they are in, if they are in one."""

    files: Sequence[tuple[str, bytes]]
    tree: llb.State | None = None

    def directory(self, path: str, step: str) -> bytes:
        """A directory of the tree as a definition; `step` names what brings it."""
        assert self.tree is not None
        if path == ".":
            return self.tree.marshal().SerializeToString()
        inner = llb.copy(self.tree, path, "/", llb.CopyOptions(dir_contents=True))
        return llb.scratch().file(inner, name=step).marshal().SerializeToString()


async def read_remote_files(
    client: Client,
    url: str,
    names: Sequence[str],
    usual_names: Sequence[str],
    show: Callable[[control_pb2.StatusResponse], None],
) -> RemoteFiles:
    """The named files of a repository or an archive, or those of the usual names that it has; or
    the one file at a web address. Raises `CrozeError`."""

    async def read(bridge: HeldBuild, ref: str) -> RemoteFiles:
        reading = _Reading(bridge, state, names, usual_names)
        return await (reading.repository if is_git(url) else reading.web)(url, ref)

    state = _state(url)
    plan = SolvePlan(internal=True, secrets=git_secrets(url), ssh=_agents(url))
    return await _read(client, plan, state, read, show)


async def read_remote_dockerfile(
    client: Client, url: str, show: Callable[[control_pb2.StatusResponse], None]
) -> bytes:
    """The Dockerfile at a web address. Raises `CrozeError`."""

    async def read(bridge: HeldBuild, ref: str) -> bytes:
        if await bridge.size(ref, _DOCKERFILE) > MAX_BYTES:
            message = f"Dockerfile {redact(url)} bigger than allowed max size (2.097MB)"
            raise InvalidRequest(message)
        return await bridge.read(ref, _DOCKERFILE)

    state = llb.http(url, filename=_DOCKERFILE, name=f"[internal] load {redact(url)}")
    return await _read(client, SolvePlan(internal=True), state, read, show)


async def _read(
    client: Client,
    plan: SolvePlan,
    state: llb.State,
    read: Callable[[HeldBuild, str], Awaitable[T]],
    show: Callable[[control_pb2.StatusResponse], None],
) -> T:
    """What is read of a state, given the build and the ref of what it made."""
    results: list[T] = []

    async def work(bridge: HeldBuild) -> gateway_pb2.Result:
        result = await bridge.solve(state.marshal())
        results.append(await read(bridge, result.ref.id))
        return result

    await client.solve(plan, show, work=work)
    return results[0]


class _Reading(Struct, frozen=True):
    bridge: HeldBuild
    state: llb.State
    names: Sequence[str]
    usual_names: Sequence[str]

    async def repository(self, _url: str, ref: str) -> RemoteFiles:
        return RemoteFiles(await self._files(ref), self.state)

    async def web(self, url: str, ref: str) -> RemoteFiles:
        size = await self.bridge.size(ref, _FILE)
        head = await self.bridge.read(ref, _FILE, HEADER_BYTES)
        if begins_archive(head):
            unpacking = llb.copy(self.state, _FILE, "/", llb.CopyOptions(unpack=True))
            unpacked = llb.scratch().file(unpacking)
            result = await self.bridge.solve(unpacked.marshal())
            return RemoteFiles(await self._files(result.ref.id), unpacked)
        if size > MAX_BYTES:
            message = "non-archive definition URL bigger than maximum allowed size (2.097MB)"
            raise CrozeError(message)
        return RemoteFiles([(url, await self.bridge.read(ref, _FILE))])

    async def _files(self, ref: str) -> list[tuple[str, bytes]]:
        files: list[tuple[str, bytes]] = []
        for name in self.names or self.usual_names:
            try:
                size = await self.bridge.size(ref, name)
            except CrozeError:
                if self.names:
                    raise
                continue
            if size > MAX_TREE_FILE_BYTES:
                raise CrozeError(f"{name} is larger than a definition may be (16MiB)")
            files.append((name, await self.bridge.read(ref, name)))
        return files


def _state(url: str) -> llb.State:
    git = parse_git_ref(url)
    if git is None:
        return llb.http(url, filename=_FILE, name="[internal] load remote build context")
    step = f"[internal] load git source {redact(url)}"
    keep = bool(git.keep_git_dir)
    return git_state(git, keep_git_dir=keep, mtime=git.mtime, options={"name": step})


def git_host(url: str) -> str:
    """The host in an address; empty for what is none."""
    try:
        return parse_git_url(url).host
    except InvalidRequest:
        return ""


def git_secrets(url: str) -> list[SecretFrom]:
    """Tokens that the environment has for the host of a repository, however it writes their
    names."""
    host = git_host(url)
    here: dict[str, str] = {}
    for name in os.environ:
        here.setdefault(name.upper(), name)
    return [
        SecretFrom(f"{id}.{host}", env=here[name])
        for id, name in _SECRETS.items()
        if host and name in here
    ]


def _agents(url: str) -> list[AgentFrom]:
    paths = os.environ.get("BUILDX_BAKE_GIT_SSH", "")
    if not is_git(url) or not (paths or os.environ.get("SSH_AUTH_SOCK")):
        return []
    return [AgentFrom("default", tuple(paths.split(",")) if paths else ())]
