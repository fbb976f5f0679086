"""`remote`: a daemon that somebody else runs, at `unix://`, `tcp://`, or behind a command.

Driver options: `cacert`, `cert`, `key` (absolute paths), `servername`; any of them turns TLS on.
`default-load=true` makes a build without output load its image.

Source: docker/buildx `driver/remote`, docs of the remote driver.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from croze.builders.model import BuilderNode
from croze.drivers.commands import carrying_streams, command_for
from croze.drivers.contract import NodeStatus, silent
from croze.drivers.sockets import socket_streams
from croze.drivers.tunnel import Streams, Tunnel, tunnel
from croze.errors import CrozeError, InvalidRequest, Unavailable, Unsupported
from croze.gotypes import url
from croze.gotypes.booleans import checked_bool
from croze.http.urls import parse_url
from croze.rpc.tls import Tls

if TYPE_CHECKING:
    from croze.client.connect import Client
    from croze.drivers.contract import Tell

SCHEMES = ("docker-container", "kube-pod", "npipe", "ssh", "tcp", "unix")
BOOT_TIMEOUT_S = 20.0
_QUIET_S = 1.0
"""A daemon that answers within this time is not seen to be waited for."""
_PATHS = ("cacert", "cert", "key")


def check_endpoint(endpoint: str) -> str:
    """The endpoint, if its scheme is one of a remote daemon. Raises `InvalidRequest`."""
    try:
        scheme = url.parse(endpoint).scheme
    except InvalidRequest as error:
        raise error.wrap(f"failed to parse endpoint {endpoint}") from None
    if scheme not in SCHEMES:
        raise InvalidRequest(f"unrecognized url scheme {scheme}")
    return endpoint


class RemoteDriver:
    """See `Driver`. Raises `InvalidRequest` for a node that a remote driver can't serve."""

    def __init__(self, node: BuilderNode) -> None:
        if node.files:
            raise InvalidRequest("setting config file is not supported for remote driver")
        if node.flags:
            raise InvalidRequest("setting buildkit flags is not supported for remote driver")
        if not node.endpoint.partition("://")[2]:
            raise InvalidRequest(f"unable to parse docker host `{node.endpoint}`")
        self._endpoint = node.endpoint
        self._default_load = False
        self._tls_options = self._read(node.driver_opts or {})

    def _read(self, options: Mapping[str, str]) -> dict[str, str]:
        files: dict[str, str] = {}
        for key, value in options.items():
            if key in _PATHS:
                if not os.path.isabs(value):
                    raise InvalidRequest(f"non-absolute path '{value}' provided for {key}")
                files[key] = value
            elif key == "servername":
                files[key] = value
            elif key == "default-load":
                self._default_load = checked_bool(value)
            else:
                raise InvalidRequest(f"invalid driver option {key} for remote driver")
        if files:
            missing = [] if files.get("cacert") else ["cacert"]
            missing += [
                lacking
                for present, lacking in (("cert", "key"), ("key", "cert"))
                if files.get(present) and not files.get(lacking)
            ]
            if missing:
                raise InvalidRequest(f"tls enabled, but missing keys {', '.join(missing)}")
        return files

    def _tls(self) -> Tls | None:
        options = self._tls_options
        if not options:
            return None

        def path(key: str) -> Path | None:
            return Path(options[key]) if options.get(key) else None

        host = parse_url(self._endpoint).hostname or ""
        name = options.get("servername") or host
        return Tls(path("cacert"), path("cert"), path("key"), name)

    @property
    def default_load(self) -> bool:
        return self._default_load

    async def status(self) -> NodeStatus:
        try:
            async with self.dial() as client:
                await client.workers()
        except CrozeError:
            return NodeStatus.INACTIVE
        return NodeStatus.RUNNING

    async def dynamic_nodes(self) -> tuple[BuilderNode, ...]:
        return ()

    async def version(self) -> str:
        return ""

    async def boot(self, tell: Tell = silent) -> None:
        from croze.progress.own import own_step

        async with self._open() as (client, opened):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_QUIET_S):
                    await _ready(client, opened, BOOT_TIMEOUT_S)
                    return
            with own_step("[internal] waiting for connection", tell):
                await _ready(client, opened, BOOT_TIMEOUT_S - _QUIET_S)

    async def stop(self) -> None:
        """Do nothing: the daemon is somebody else's to stop."""

    async def remove(self, *, state: bool, daemon: bool) -> None:
        """Do nothing: the daemon is somebody else's to remove."""

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[Client]:
        async with self._open() as (client, _):
            yield client

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[Client, Tunnel | None]]:
        from croze.client.connect import connect

        check_endpoint(self._endpoint)
        command = command_for(self._endpoint)
        if command is None:
            async with connect(self._endpoint, self._tls()) as client:
                yield client, None
            return
        async with tunnel(self.streams) as opened:
            try:
                async with connect(opened.address, self._tls(), far=True) as client:
                    yield client, opened
            except Unavailable as error:
                raise (opened.error or error) from None

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        command = command_for(check_endpoint(self._endpoint))
        carried = (
            socket_streams(self._endpoint, self._tls())
            if command is None
            else carrying_streams(command)
        )
        async with carried as opened:
            yield opened


async def _ready(client: Client, opened: Tunnel | None, patience_s: float) -> None:
    """Wait until the daemon answers. Raises `CrozeError`."""
    ready = client.wait_ready(patience_s)
    with contextlib.suppress(Unsupported):  # an answer, too: of a daemon before BuildKit 0.11
        await (ready if opened is None else opened.guarded(ready))
