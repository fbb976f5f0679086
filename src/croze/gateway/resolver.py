"""The Dockerfile frontend's `Resolver`, over the bridge of a running build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.api import ops_pb2
from croze.dockerfile.resolver import OciStore, ResolvedImage, SourceMeta
from croze.errors import Range, SourceDetail
from croze.gateway.bridge import Bridge
from croze.gateway.contract import FrontendRequest
from croze.gateway.results import BridgeRef
from croze.gotypes.strings import from_bytes
from croze.image.platform import Platform
from croze.sources.facts import Wanted


class BridgeResolver:
    """See `dockerfile.resolver.Resolver`."""

    def __init__(self, bridge: Bridge, request: FrontendRequest) -> None:
        self._bridge = bridge
        self._request = request
        self._refs: dict[bytes, BridgeRef] = {}

    async def resolve_image(
        self,
        ref: str,
        *,
        platform: Platform | None,
        mode: str,
        log_name: str,
        oci_store: OciStore | None = None,
    ) -> ResolvedImage:
        return await self._bridge.resolve_image(
            ref, platform=platform, mode=mode, log_name=log_name, oci_store=oci_store
        )

    async def source_meta(self, source: ops_pb2.SourceOp, *, log_name: str) -> SourceMeta:
        facts = await self._bridge.source_facts(
            await self._bridge.decide(source), Wanted(commit_time=True), log_name=log_name
        )
        return SourceMeta(facts.committer_time, facts.last_modified, facts.filename, facts.checksum)

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

    async def warn(
        self,
        vertex: str,
        short: str,
        *,
        level: int = 1,
        detail: Sequence[str] = (),
        url: str = "",
        source: SourceDetail | None = None,
        ranges: Sequence[Range] = (),
    ) -> None:
        self._bridge.warn(
            vertex, short, level=level, detail=detail, url=url, source=source, ranges=ranges
        )

    def _ref(self, definition: ops_pb2.Definition) -> BridgeRef:
        """The same definition is solved once, however many files of it are read."""
        key = b"".join(getattr(definition, "def"))
        ref = self._refs.get(key)
        if ref is None:
            ref = self._refs[key] = self._bridge.make_ref(definition)
        return ref
