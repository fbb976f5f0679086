"""A build's own files, read through the bridge that it is held by."""

from __future__ import annotations

from collections.abc import Mapping

from croze.api import gateway_pb2, ops_pb2
from croze.rpc.held import HeldBuild


class BridgeFiles:
    """The files of a build, for whoever looks for a Dockerfile:
    `dockerfile.resolver.DockerfileAccess`."""

    def __init__(self, bridge: HeldBuild, session: str) -> None:
        self._bridge = bridge
        self._session = session
        self._refs: dict[bytes, str] = {}

    @property
    def session(self) -> str:
        return self._session

    async def inputs(self) -> Mapping[str, ops_pb2.Definition]:
        return {}

    async def read_file(
        self, definition: ops_pb2.Definition, path: str, *, limit_bytes: int | None = None
    ) -> bytes:
        key = definition.SerializeToString(deterministic=True)
        if key not in self._refs:
            self._refs[key] = ref_of(await self._bridge.solve(definition))
        return await self._bridge.read(self._refs[key], path, limit_bytes or 0)


def ref_of(result: gateway_pb2.Result) -> str:
    return result.ref.id
