"""The Dockerfile frontend, built in: `dockerfile.v0`.

A `# syntax=` line that names the newest of the Dockerfile's own frontend, whichever that is
(`docker/dockerfile:1`), is answered here, with no image pulled. One that names a version, a digest,
or something else means that very image: `gateway.v0` runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from croze.api import ops_pb2
from croze.attest.scanner import ScanTarget
from croze.dockerfile.asking import Forwarded
from croze.dockerfile.resolver import FrontendResult, Syntax
from croze.dockerfile.result_options import parse_cache_imports, parse_sbom
from croze.errors import InvalidRequest
from croze.gateway.contract import Bridge
from croze.gateway.imports import CacheImport
from croze.gateway.reading import Readers
from croze.gateway.requests import EXTERNAL_FRONTEND, BridgeRequest, FrontendRequest
from croze.gateway.results import BridgeRef, BridgeResult
from croze.gateway.sboms import Generator, scanned
from croze.image import reference
from croze.image.reference import Reference

NAME: Final = "dockerfile.v0"
PLAN: Final = "frontend.plan"
"""The subrequest that asks what a build would find in the cache. Croze's own."""
_OWN_IMAGES: Final = frozenset(
    {"docker.io/docker/dockerfile", "docker.io/docker/dockerfile-upstream"}
)
_FLOATING: Final = frozenset({"latest", "1", "master"})
"""Tags that are moved to every new version."""
_LABS: Final = "labs"


class DockerfileFrontend:
    """See `contract.Frontend`."""

    def __init__(self, readers: Readers | None = None) -> None:
        self._readers = readers or Readers()

    async def build(self, request: FrontendRequest, bridge: Bridge) -> BridgeResult:
        if request.opts.get("requestid") == PLAN:
            opts = {key: value for key, value in request.opts.items() if key != "requestid"}
            return await bridge.plan(await self.build(replace(request, opts=opts), bridge))
        bridge.imports.want(CacheImport(e.type, e.attrs) for e in parse_cache_imports(request.opts))
        external: list[BridgeResult] = []

        async def forward(syntax: Syntax) -> Forwarded:
            own, labs = own_frontend(syntax.image, request.opts)
            if not own:
                external.append(await _run_external(bridge, request, syntax))
            return Forwarded(own, labs)

        answer = await self._readers.convert(bridge, request, forward)
        if external or answer is None:
            return external[0]
        return await _with_sboms(bridge, request, answer, _result(bridge, answer))


def own_frontend(image: str, opts: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether `image` is the newest of the Dockerfile's frontend, and whether with what is still in
    the labs. It is not where the build has a named context in its place."""
    if image == NAME:
        return True, False
    try:
        parsed = reference.parse(image)
    except InvalidRequest:
        return False, False
    if parsed.name not in _OWN_IMAGES or parsed.digest or _is_replaced(parsed, opts):
        return False, False
    version, dash, variant = (parsed.tag or "latest").partition("-")
    labs = _LABS in (version, variant)
    own = version in (*_FLOATING, _LABS) and (labs or not dash)
    return own, own and labs


def _is_replaced(image: Reference, opts: Mapping[str, str]) -> bool:
    name = f"context:{image.familiar().removesuffix(':latest')}"
    return any(key == name or key.startswith(f"{name}::") for key in opts)


async def _run_external(bridge: Bridge, request: FrontendRequest, syntax: Syntax) -> BridgeResult:
    opts = {**request.opts, "source": syntax.image, "cmdline": syntax.cmdline}
    return await bridge.solve(
        BridgeRequest(frontend=EXTERNAL_FRONTEND, opts=opts, inputs=request.inputs)
    )


def _result(bridge: Bridge, answer: FrontendResult) -> BridgeResult:
    refs: Mapping[str, BridgeRef | None] = {
        key: _ref(bridge, definition) for key, definition in answer.definitions.items()
    }
    if refs.keys() <= {""}:
        return BridgeResult(ref=refs.get(""), metadata=answer.metadata)
    return BridgeResult(refs=refs, metadata=answer.metadata)


async def _with_sboms(
    bridge: Bridge, request: FrontendRequest, answer: FrontendResult, result: BridgeResult
) -> BridgeResult:
    sbom = parse_sbom(request.opts)
    if sbom is None or not answer.scans:
        return result
    only = answer.definitions.get("")
    targets = {
        key: ScanTarget(only or answer.definitions[key], scan.extras, scan.ignore_cache)
        for key, scan in answer.scans.items()
    }
    mode = request.opts.get("image-resolve-mode", "")
    generator = Generator(sbom.generator, sbom.parameters, mode)
    return await scanned(bridge, result, generator, bridge.services.platforms[0], targets)


def _ref(bridge: Bridge, definition: ops_pb2.Definition) -> BridgeRef | None:
    """An empty definition is an empty filesystem."""
    return bridge.make_ref(definition) if getattr(definition, "def") else None
