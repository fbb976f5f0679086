"""A frontend that is a plain function from options and a `Resolver` to definitions, such as the
Dockerfile's, as a `Frontend` of the bridge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from croze.api import ops_pb2
from croze.dockerfile.resolver import FrontendResult, Resolver
from croze.gateway.bridge import Bridge, FrontendRequest
from croze.gateway.resolver import BridgeResolver
from croze.gateway.results import BridgeRef, BridgeResult


class TextBuild(Protocol):
    """`dockerfile.frontend.build`."""

    async def __call__(self, opts: Mapping[str, str], resolver: Resolver, /) -> FrontendResult: ...


class TextFrontend:
    """See `bridge.Frontend`."""

    def __init__(self, build: TextBuild) -> None:
        self._build = build

    async def build(self, request: FrontendRequest, bridge: Bridge) -> BridgeResult:
        found = await self._build(request.opts, BridgeResolver(bridge, request))
        refs = {key: _ref(bridge, found.definitions[key]) for key in found.definitions}
        if refs.keys() == {""}:
            return BridgeResult(ref=refs[""], metadata=found.metadata)
        if not refs:
            return BridgeResult(metadata=found.metadata)
        return BridgeResult(refs=refs, metadata=found.metadata)


def _ref(bridge: Bridge, definition: ops_pb2.Definition) -> BridgeRef | None:
    """An empty definition is an empty filesystem."""
    return bridge.make_ref(definition) if getattr(definition, "def") else None
