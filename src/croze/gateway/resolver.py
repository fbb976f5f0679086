"""The Dockerfile frontend's `Resolver`, over the bridge of a running build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.api import ops_pb2
from croze.dockerfile.resolver import ImageQuestion, ResolvedImage, SourceMeta
from croze.gateway.contract import Bridge
from croze.gateway.requests import FrontendRequest
from croze.gateway.results import BridgeRef
from croze.gotypes.strings import from_bytes
from croze.image.platform import Platform
from croze.sources.facts import FactsWanted
from croze.status import VertexWarning


class BridgeResolver:
    """See `dockerfile.resolver.Resolver`."""

    def __init__(self, bridge: Bridge, request: FrontendRequest) -> None:
        self._bridge = bridge
        self._request = request
        self._refs: dict[bytes, BridgeRef] = {}

    async def resolve_image(self, question: ImageQuestion) -> ResolvedImage:
        return await self._bridge.sources.resolve_image(question)

    async def source_meta(self, source: ops_pb2.SourceOp, *, log_name: str) -> SourceMeta:
        sources = self._bridge.sources
        decided = await sources.decide(source)
        facts = await sources.source_facts(
            decided, FactsWanted(commit_time=True), log_name=log_name
        )
        return SourceMeta(facts.committer_time, facts.last_modified, facts.filename)

    async def read_file(
        self, definition: ops_pb2.Definition, path: str, *, limit_bytes: int | None = None
    ) -> bytes:
        return await self._ref(definition).read_file(path, length=limit_bytes)

    async def list_dir(self, definition: ops_pb2.Definition, path: str) -> Sequence[str]:
        return [from_bytes(entry.path) for entry in await self._ref(definition).read_dir(path)]

    async def inputs(self) -> Mapping[str, ops_pb2.Definition]:
        return self._request.inputs

    def worker_platforms(self) -> Sequence[Platform]:
        return self._bridge.services.platforms

    def has_cap(self, id: str) -> bool:
        return id in self._bridge.services.llb_caps

    @property
    def session(self) -> str:
        return self._request.session

    async def warn(self, warnings: Sequence[VertexWarning]) -> None:
        for warning in warnings:
            self._bridge.warn(warning)

    def _ref(self, definition: ops_pb2.Definition) -> BridgeRef:
        """The ref of a definition, which is solved once, however many files of it are read."""
        key = b"".join(getattr(definition, "def"))
        ref = self._refs.get(key)
        if ref is None:
            ref = self._refs[key] = self._bridge.make_ref(definition)
        return ref
