"""One build as its frontend sees it over gRPC: messages in, messages out.

The frontend runs in the client (buildx always does it so), asks until it knows, and ends with
`Return`. BuildKit's `frontend/gateway/gateway.go` is the other side of the same protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from croze.aio.threads import finish
from croze.api import gateway_pb2, ops_pb2
from croze.api.attrs import of_attrs
from croze.dockerfile.resolver import ImageQuestion, OciStore
from croze.errors import InvalidRequest, NotFound
from croze.gateway import caps, files, source_meta
from croze.gateway.containers import GatewayContainers
from croze.gateway.contract import Bridge
from croze.gateway.convert import result_message, result_of
from croze.gateway.imports import CacheImport
from croze.gateway.requests import BridgeRequest
from croze.gateway.results import BridgeRef, BridgeResult
from croze.gateway.source_resolution import resolving
from croze.gotypes import gojson
from croze.gotypes.strings import from_bytes
from croze.rpc.details import own_range, source_detail
from croze.rpc.status import from_returned_status, in_go_words
from croze.status import VertexWarning
from croze.store.contract import ImmutableRef
from croze.workers.shares import current_share

_RESOLVER_LAYOUT = 1
"""`ResolveImageConfigRequest.ResolverType` for an OCI layout."""


def final_metadata(request: gateway_pb2.SolveRequest, result: BridgeResult) -> Mapping[str, bytes]:
    """What an old frontend adds to its result: JSON with base64, as Go writes bytes."""
    try:
        added = gojson.unmarshal(request.ExporterAttr, type=dict[str, bytes])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"invalid exporter attributes: {error}") from None
    return {**added, **result.metadata}


class ServedBuild:
    """One build that its frontend asks of over gRPC. Ids of refs are known to it only. `share`:
    what its frontend asks for is work of the build that it was made for, though it comes in calls
    of their own (`workers.shares`)."""

    def __init__(self, bridge: Bridge, inputs: Mapping[str, ops_pb2.Definition]) -> None:
        self._bridge = bridge
        self._inputs = inputs
        self.share = current_share()
        self._refs: dict[str, BridgeRef] = {}
        self._containers: GatewayContainers | None = None
        bridge.keep_failed_steps()
        self._result: asyncio.Future[BridgeResult] = asyncio.get_running_loop().create_future()

    async def result(self) -> BridgeResult:
        """Waits for `Return`; raises the error that the frontend returned."""
        return await asyncio.shield(self._result)

    @property
    def returned(self) -> bool:
        return self._result.done()

    @property
    def failed(self) -> bool:
        """Whether the frontend has returned an error."""
        return self._result.done() and self._result.exception() is not None

    async def close(self) -> None:
        """Close the frontend's containers, and wait for no result any more."""
        if self._containers is not None:
            await finish(self._containers.close())
        if not self._result.done():
            self._result.cancel()
        elif not self._result.cancelled():
            self._result.exception()
        self._refs.clear()

    def ping(self) -> gateway_pb2.PongResponse:
        """What this daemon can do: its capabilities, and its worker."""
        services = self._bridge.services
        return gateway_pb2.PongResponse(
            FrontendAPICaps=caps.frontend_caps(),
            LLBCaps=caps.llb_caps(services.llb_caps),
            Workers=[services.worker()],
        )

    def inputs(self) -> gateway_pb2.InputsResponse:
        return gateway_pb2.InputsResponse(Definitions=self._inputs)

    async def solve(self, request: gateway_pb2.SolveRequest) -> gateway_pb2.SolveResponse:
        result = await self._bridge.solve(
            BridgeRequest(
                definition=request.Definition if request.HasField("Definition") else None,
                frontend=request.Frontend,
                opts=of_attrs(request.FrontendOpt),
                inputs=dict(request.FrontendInputs),
                evaluate=request.Evaluate,
                policies=list(request.SourcePolicies),
                caches=[CacheImport(e.Type, of_attrs(e.Attrs)) for e in request.CacheImports],
            )
        )
        if result.refs and not request.allowResultReturn:
            raise InvalidRequest("solve did not return default result")
        for ref in result.all_refs():
            self._refs[ref.id] = ref
        message = result_message(result, ref_arrays=request.allowResultArrayRef)
        if request.Final and not self._result.done():
            # What frontends did before there was `Return`.
            self._result.set_result(replace(result, metadata=final_metadata(request, result)))
        response = gateway_pb2.SolveResponse(result=message)
        if not request.allowResultReturn and result.ref is not None:
            response.ref = result.ref.id
        return response

    def give_back(self, request: gateway_pb2.ReturnRequest) -> gateway_pb2.ReturnResponse:
        """Take the frontend's result, or its error: it is done."""
        if self._result.done():
            raise InvalidRequest("gateway result is already set")
        if request.HasField("error") and request.error.code:
            self._result.set_exception(from_returned_status(request.error))
        elif request.HasField("result"):
            self._result.set_result(result_of(request.result, self._returned))
        else:
            raise InvalidRequest("gateway return must be either result or err")
        return gateway_pb2.ReturnResponse()

    async def read_file(self, request: gateway_pb2.ReadFileRequest) -> gateway_pb2.ReadFileResponse:
        offset, length = files.range_of(request)
        ref = self._need(request.Ref)
        data = await ref.read_file(from_bytes(request.FilePath), offset=offset, length=length)
        return gateway_pb2.ReadFileResponse(Data=data)

    async def read_dir(self, request: gateway_pb2.ReadDirRequest) -> gateway_pb2.ReadDirResponse:
        path, include = from_bytes(request.DirPath), from_bytes(request.IncludePattern)
        entries = await self._need(request.Ref).read_dir(path, include)
        return gateway_pb2.ReadDirResponse(entries=entries)

    async def stat_file(self, request: gateway_pb2.StatFileRequest) -> gateway_pb2.StatFileResponse:
        return gateway_pb2.StatFileResponse(
            stat=await self._need(request.Ref).stat_file(from_bytes(request.Path))
        )

    async def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        await self._need(request.Ref).evaluate()
        return gateway_pb2.EvaluateResponse()

    async def resolve_image_config(
        self, request: gateway_pb2.ResolveImageConfigRequest
    ) -> gateway_pb2.ResolveImageConfigResponse:
        is_layout = request.ResolverType == _RESOLVER_LAYOUT
        scheme = source_meta.LAYOUT if is_layout else source_meta.IMAGE
        with resolving(request.Ref):
            decided = await self._bridge.sources.decide(
                ops_pb2.SourceOp(identifier=f"{scheme}://{request.Ref}"),
                list(request.SourcePolicies),
                platform=request.Platform if request.HasField("Platform") else None,
            )
            question = ImageQuestion(
                decided.identifier.partition("://")[2],
                source_meta.platform_in(request),
                request.ResolveMode,
                request.LogName,
                OciStore(request.SessionID, request.StoreID) if is_layout else None,
            )
            config = await self._bridge.sources.ask_image(question)
        return gateway_pb2.ResolveImageConfigResponse(
            Digest=config.digest, Config=config.config, Ref=config.ref
        )

    async def resolve_source_meta(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        """What a source's name stands for, after policies have had their say."""
        if not request.HasField("Source"):
            raise in_go_words(InvalidRequest("source is required"))
        decided = await self._bridge.sources.decide(
            request.Source,
            list(request.SourcePolicies),
            platform=request.Platform if request.HasField("Platform") else None,
        )
        request.Source.CopyFrom(decided)
        return await source_meta.resolve(self._bridge.sources, request)

    def warn(self, request: gateway_pb2.WarnRequest) -> gateway_pb2.WarnResponse:
        ranges = tuple(own_range(r) for r in request.ranges)
        source = None
        if request.HasField("info"):
            source = source_detail(request.info, list(request.ranges))
        warning = VertexWarning(
            request.digest,
            request.level or 1,
            request.short.decode(errors="replace"),
            tuple(line.decode(errors="replace") for line in request.detail),
            request.url,
            source,
            ranges,
        )
        self._bridge.warn(warning)
        return gateway_pb2.WarnResponse()

    @property
    def containers(self) -> GatewayContainers:
        """The containers that the frontend has opened. Raises `Unsupported` where none can be."""
        if self._containers is None:
            self._containers = self._bridge.containers()
        return self._containers

    async def new_container(
        self, request: gateway_pb2.NewContainerRequest
    ) -> gateway_pb2.NewContainerResponse:
        await self.containers.new(request, self._state)
        return gateway_pb2.NewContainerResponse()

    async def _state(self, id: str) -> ImmutableRef | None:
        ref = self._refs.get(id)
        return await ref.ref() if ref else self._bridge.failed_state(id)

    def _returned(self, id: str) -> BridgeRef | None:
        """A ref of the frontend's result; an empty filesystem has no id."""
        if not id:
            return None
        ref = self._refs.get(id)
        if ref is None:
            raise NotFound(f"return reference {id} not found")
        return ref

    def _need(self, id: str) -> BridgeRef:
        ref = self._refs.get(id)
        if ref is None:
            ids = " ".join(sorted(self._refs))
            raise NotFound(f"no such ref: {id}, all [{ids}]")
        return ref
