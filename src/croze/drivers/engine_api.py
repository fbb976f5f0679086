"""The few calls of a Docker engine's HTTP API that a builder in a container needs.

Source: Docker Engine API. Paths name no version: the engine's own counts, since the oldest that new
engines serve is beyond the newest that old ones know, and these calls have not changed since Docker
20.10. The structs hold what is read of the answers, and nothing else of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from croze.builders.contexts import DockerContext
from croze.drivers.engine import engine_streams, message_of, upgraded
from croze.drivers.tunnel import Streams, tunnel
from croze.errors import AlreadyExists, CrozeError, InvalidRequest, NotFound, Unavailable
from croze.gotypes import gojson

if TYPE_CHECKING:
    from croze.http.daemon import HttpClient

ANSWER_LIMIT_BYTES = 16 << 20
LOG_LINES = "1000"
_ERRORS = {400: InvalidRequest, 404: NotFound, 409: AlreadyExists}


class ContainerState(msgspec.Struct, rename="pascal"):
    """Whether a container of an engine runs."""

    running: bool = False


class EngineMount(msgspec.Struct, rename="pascal"):
    """A mount of a container; the name is that of a volume, or empty."""

    name: str = ""


class EngineContainer(msgspec.Struct, rename="pascal"):
    """What is read of `GET /containers/NAME/json`."""

    id: str
    state: ContainerState
    mounts: tuple[EngineMount, ...] | None = None


class EngineInfo(msgspec.Struct, rename="pascal"):
    """What is read of `GET /info`."""

    cgroup_driver: str = ""
    os_type: str = msgspec.field(default="", name="OSType")
    architecture: str = ""
    security_options: tuple[str, ...] | None = None

    @property
    def remaps_users(self) -> bool:
        """Whether its containers have user namespaces of their own."""
        return any("name=userns" in option.split(",") for option in self.security_options or ())


class _Descriptor(msgspec.Struct):
    digest: str = ""


class _Image(msgspec.Struct, rename="pascal"):
    descriptor: _Descriptor | None = None


class _Version(msgspec.Struct, rename="pascal"):
    version: str = ""


class _Created(msgspec.Struct, rename="pascal"):
    id: str


class _Ended(msgspec.Struct, rename="pascal"):
    exit_code: int | None = None


class _Pulling(msgspec.Struct):
    error: str = ""


_T = TypeVar("_T")


class EngineApi:
    """An engine's calls. All raise `Unavailable` when it does not answer; when it says no,
    `NotFound`, `AlreadyExists`, `InvalidRequest` or `CrozeError` with its own words."""

    def __init__(self, context: DockerContext, http: HttpClient, base: str) -> None:
        self._context = context
        self._http = http
        self._base = base
        self._ssl = context.secured() or True

    async def container(self, name: str) -> EngineContainer:
        return _decoded(await self._call("GET", f"/containers/{_part(name)}/json"), EngineContainer)

    async def machine(self) -> EngineInfo:
        return _decoded(await self._call("GET", "/info"), EngineInfo)

    async def version(self) -> str:
        """The engine's version."""
        return _decoded(await self._call("GET", "/version"), _Version).version

    async def has_image(self, reference: str) -> bool:
        try:
            await self._call("GET", f"/images/{quote(reference, safe='/:@')}/json")
        except NotFound:
            return False
        return True

    async def image_digest(self, reference: str) -> str:
        """The digest of what the registry has, where the engine keeps images as they are there (in
        containerd's store). Else empty."""
        path = f"/images/{quote(reference, safe='/:@')}/json"
        descriptor = _decoded(await self._call("GET", path), _Image).descriptor
        return descriptor.digest if descriptor is not None else ""

    async def pull(self, reference: str, login: str) -> None:
        """Pull an image. `login` is the header `X-Registry-Auth`; empty for nobody's."""
        query = {"fromImage": reference, "tag": "" if "@" in reference else _tag(reference)}
        headers = {"X-Registry-Auth": login} if login else {}
        progress = await self._call("POST", "/images/create", query=query, headers=headers)
        for line in progress.splitlines():
            if line.strip() and (error := _decoded(line, _Pulling).error):
                raise CrozeError(error)

    async def create_container(self, name: str, config: Mapping[str, object]) -> str:
        """Make a container that does not run yet; its id. Raises `AlreadyExists` when the name is
        taken."""
        query = {"name": name} if name else {}
        return _decoded(
            await self._call("POST", "/containers/create", query=query, value=config), _Created
        ).id

    async def put_archive(self, name: str, folder: str, archive: bytes) -> None:
        """Unpack a tar in a container that need not run."""
        query = {"path": folder, "noOverwriteDirNonDir": "true"}
        headers = {"Content-Type": "application/x-tar"}
        path = f"/containers/{_part(name)}/archive"
        await self._call("PUT", path, query=query, headers=headers, body=archive)

    async def start(self, name: str) -> None:
        await self._call("POST", f"/containers/{_part(name)}/start")

    async def stop(self, name: str) -> None:
        await self._call("POST", f"/containers/{_part(name)}/stop")

    async def remove_container(self, name: str) -> None:
        """Remove a container, running or not, with its nameless volumes."""
        query = {"force": "1", "v": "1"}
        await self._call("DELETE", f"/containers/{_part(name)}", query=query)

    async def remove_volume(self, name: str) -> None:
        await self._call("DELETE", f"/volumes/{_part(name)}")

    async def logs(self, name: str) -> bytes:
        """The last of what the container has said, as `multiplexed` frames."""
        query = {"stdout": "1", "stderr": "1", "tail": LOG_LINES}
        return await self._call("GET", f"/containers/{_part(name)}/logs", query=query)

    @asynccontextmanager
    async def exec(self, name: str, command: Sequence[str]) -> AsyncIterator[tuple[str, Streams]]:
        """A command in a running container: its id, and its standard streams, in which output
        comes as `multiplexed` frames."""
        settings = {"Cmd": command, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
        created = _decoded(
            await self._call("POST", f"/containers/{_part(name)}/exec", value=settings), _Created
        )
        body = json.dumps({"Detach": False, "Tty": False}).encode()
        path = f"/exec/{created.id}/start"
        async with upgraded(self._context, path, "tcp", body=body) as streams:
            yield created.id, streams

    async def exit_code(self, exec_id: str) -> int:
        """The exit code of a command that has ended."""
        return _decoded(await self._call("GET", f"/exec/{exec_id}/json"), _Ended).exit_code or 0

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        value: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> bytes:
        import aiohttp

        from croze.http.daemon import read_all, reason

        headers = dict(headers or {})
        if value is not None:
            body = json.dumps(value).encode()
            headers["Content-Type"] = "application/json"
        url = self._base + path + (f"?{urlencode(query)}" if query else "")
        try:
            async with await self._http.send(
                method, url, headers=headers, body=body, ssl=self._ssl, redirects=False
            ) as answer:
                data = await read_all(answer, ANSWER_LIMIT_BYTES, "an answer of the Docker engine")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._context.unreachable(reason(error)) from None
        if answer.status >= 400:
            kind = _ERRORS.get(answer.status, CrozeError)
            raise kind(f"Error response from daemon: {message_of(data)}")
        return data


@asynccontextmanager
async def engine_api(context: DockerContext) -> AsyncIterator[EngineApi]:
    """The calls of a context's engine. Nothing is dialled before the first one. Raises
    `InvalidRequest` for an address that can't be one."""
    from croze.http.daemon import HttpClient

    scheme, _, rest = context.host.partition("://")
    if not rest:
        raise InvalidRequest(f"unable to parse docker host `{context.host}`")
    if scheme in ("tcp", "http", "https"):
        secure = context.tls is not None or scheme == "https"
        port = "" if ":" in rest else f":{2376 if secure else 2375}"
        client = HttpClient(read_s=600)
        try:
            yield EngineApi(context, client, f"{'https' if secure else 'http'}://{rest}{port}")
        finally:
            await client.close()
    elif scheme == "unix":
        async with _at_socket(context, rest) as api:
            yield api
    elif scheme == "ssh":
        async with (
            tunnel(lambda: engine_streams(context)) as opened,
            _at_socket(context, opened.address.removeprefix("unix://")) as api,
        ):
            try:
                yield api
            except Unavailable as error:
                raise (opened.error or error) from None
    else:
        raise InvalidRequest(f"unable to parse docker host `{context.host}`")


@asynccontextmanager
async def _at_socket(context: DockerContext, path: str) -> AsyncIterator[EngineApi]:
    from croze.http.daemon import HttpClient

    client = HttpClient(read_s=600, unix_socket=path)
    try:
        yield EngineApi(context, client, "http://api.moby.localhost")
    finally:
        await client.close()


def _decoded(data: bytes, kind: type[_T]) -> _T:
    try:
        return gojson.unmarshal(data, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CrozeError(f"the Docker engine's answer can't be read: {error}") from None


def _part(name: str) -> str:
    return quote(name, safe="")


def _tag(reference: str) -> str:
    last = reference.rpartition("/")[2]
    return last.partition(":")[2] or "latest"
