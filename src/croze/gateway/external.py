"""`gateway.v0`: frontends that are images.

The image's entrypoint runs in a container, on a copy of the image that is thrown away, and speaks
the bridge over its standard input and output. What it gets besides, and what its labels mean, is as
in BuildKit's `frontend/gateway`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from croze import llb
from croze.dockerfile import asking
from croze.dockerfile.resolver import ImageQuestion
from croze.errors import CrozeError, ExitError, FrontendCapDetail, InvalidRequest, Unsupported
from croze.fs.temporary import temporary_directory
from croze.gateway.contract import Bridge, Frontend
from croze.gateway.dockerfile_frontend import own_frontend
from croze.gateway.reading import Readers
from croze.gateway.requests import FrontendRequest
from croze.gateway.results import BridgeRef, BridgeResult
from croze.gateway.serve import ServedBuild
from croze.gateway.stdio import run_frontend
from croze.gotypes.booleans import parse_bool
from croze.image import config as configs
from croze.image import reference
from croze.image.config import RunConfig
from croze.image.platform import Platform
from croze.ops.logs import OpLog
from croze.ops.services import OpServices
from croze.runtime.contract import ContainerMount, ContainerSpec, Process
from croze.runtime.errors import StartError
from croze.runtime.proxied import Proxied
from croze.solver.contract import OpContext
from croze.store.contract import MountSpec

EXPORTED_PRODUCT: Final = "buildkit"
METADATA_DIR: Final = "/run/config/buildkit/metadata"
DEFAULT_ENTRYPOINT: Final = ("/run",)
NETWORK_LABEL: Final = "moby.buildkit.frontend.network.none"
CAPS_LABEL: Final = "moby.buildkit.frontend.caps"
INPUTS_CAP: Final = "moby.buildkit.frontend.inputs"


class FrontendImage(Struct, frozen=True):
    """A frontend's files and settings."""

    name: str
    ref: BridgeRef
    config: RunConfig


class ExternalFrontend:
    """See `contract.Frontend`. The Dockerfile's own frontend needs no image."""

    def __init__(
        self,
        dockerfile: Frontend,
        allowed_repositories: Sequence[str] = (),
        readers: Readers | None = None,
    ) -> None:
        """`allowed_repositories`: names of repositories without a tag; empty allows all."""
        self._dockerfile = dockerfile
        self._readers = readers or Readers()
        self._allowed = frozenset(reference.parse(name).name for name in allowed_repositories)

    async def build(self, request: FrontendRequest, bridge: Bridge) -> BridgeResult:
        if "gateway-devel" in request.opts:
            raise InvalidRequest("development gateway is no longer supported")
        source = request.opts.get("source", "")
        if not source:
            raise InvalidRequest("no source specified for gateway")
        self._check_allowed(source)
        if own_frontend(source, request.opts)[0]:
            return await self._dockerfile.build(request, bridge)
        ops = bridge.services.ops
        if ops is None:
            raise Unsupported(f"external frontend {source} can not be run by this daemon")
        image = await self.resolve(source, request, bridge)
        check_caps(image.config.labels.get(CAPS_LABEL, ""), request)
        served = ServedBuild(bridge, request.inputs)
        try:
            return await _run(ops, image, request, bridge, served)
        finally:
            await served.close()

    async def resolve(self, source: str, request: FrontendRequest, bridge: Bridge) -> FrontendImage:
        """The image, or the named context that stands in for it."""
        named = None
        if any(key.startswith("context:") for key in request.opts):
            named = await self._readers.read(bridge, request, None, asking.named, source)
        if named is None:
            name = reference.normalize(source)
            image = await bridge.sources.resolve_image(ImageQuestion(name))
            pinned = image.ref if "@" in image.ref else f"{image.ref}@{image.digest}"
            named = llb.image(pinned).marshal(), configs.parse(image.config)
        definition, config = named
        ref = bridge.make_ref(definition)
        return FrontendImage(source, ref, config.config if config else RunConfig())

    def _check_allowed(self, source: str) -> None:
        if self._allowed and reference.parse(source).name not in self._allowed:
            raise InvalidRequest(f"'{source}' is not an allowed gateway source")


async def _run(
    ops: OpServices,
    image: FrontendImage,
    request: FrontendRequest,
    bridge: Bridge,
    served: ServedBuild,
) -> BridgeResult:
    """Run it as a step of its own, whose log is what it writes to standard error.

    An error that it returned is the build's, not the step's, and what it writes after that is left
    out: Go's frontends panic then, and BuildKit's clients see none of it.
    """

    async def run(ctx: OpContext) -> None:
        process = process_of(image.config, environment(request, bridge))
        log = OpLog(ctx.progress, ops.log_limits)

        def write(data: bytes) -> None:
            if not served.failed:
                log.stderr.write(data)

        try:
            async with _container(ops, image, ctx.sessions(), bridge.proxied) as spec:
                code = await run_frontend(ops.executor, spec, process, served, write)
        except StartError as error:
            raise error.wrap(f"failed to start frontend {image.name}") from None
        finally:
            log.flush()
        _check_end(served, code, image.name)

    await bridge.job.in_context(f"[internal] frontend {image.name}", run)
    return await served.result()


def _check_end(served: ServedBuild, code: int, name: str) -> None:
    """See that it has returned something: an error counts more than how it ended, and that more
    than its result."""
    if served.failed:
        return
    if code:
        raise ExitError(f"frontend {name} did not complete successfully: exit code: {code}", code)
    if not served.returned:
        raise CrozeError("no result for incomplete build")


@asynccontextmanager
async def _container(
    ops: OpServices, image: FrontendImage, sessions: Sequence[str], proxied: Proxied | None
) -> AsyncIterator[ContainerSpec]:
    """Where it runs; nothing of it is kept."""
    async with AsyncExitStack() as stack:
        root = await ops.refs.new(
            await image.ref.ref(),
            description=f"frontend {image.name}",
            record_type="internal",
            sessions=sessions,
        )
        stack.push_async_callback(root.release)
        folder = stack.enter_context(temporary_directory("frontend", ops.scratch_dir))
        definition = Path(folder, "frontend.bin")
        definition.write_bytes(image.ref.definition.SerializeToString())
        definition.chmod(0o400)
        metadata = MountSpec("bind", folder, ("rbind", "ro", "nosuid", "nodev", "noexec"))
        isolated = parse_bool(image.config.labels.get(NETWORK_LABEL, "")) is True
        yield ContainerSpec(
            root=await root.mounts(readonly=False),
            mounts=[ContainerMount(METADATA_DIR, [metadata], readonly=True)],
            network="none" if isolated else "sandbox",
            proxied=None if isolated else proxied,
        )


def process_of(config: RunConfig, env: Sequence[str]) -> Process:
    """What a frontend's image runs: its entrypoint, whatever its command is."""
    return Process(
        args=config.entrypoint or DEFAULT_ENTRYPOINT,
        env=[*config.env, *env],
        cwd=config.working_dir or "/",
    )


def environment(request: FrontendRequest, bridge: Bridge) -> list[str]:
    """How a frontend is told what to build, and by whom."""
    options = enumerate(request.opts.items())
    return [
        *(f"BUILDKIT_FRONTEND_OPT_{n}={key}={value}" for n, (key, value) in options),
        f"BUILDKIT_SESSION_ID={request.session}",
        f"BUILDKIT_WORKERS={json.dumps([worker_json(bridge)])}",
        f"BUILDKIT_EXPORTEDPRODUCT={EXPORTED_PRODUCT}",
    ]


def worker_json(bridge: Bridge) -> dict[str, object]:
    """The worker as BuildKit's `client.WorkerInfo` in JSON."""
    record = bridge.services.worker()
    return {
        "id": record.ID,
        "labels": dict(record.Labels),
        "platforms": [_platform_json(platform) for platform in bridge.services.platforms],
        "gcPolicy": None,
        "buildkitVersion": {
            "package": record.BuildkitVersion.package,
            "version": record.BuildkitVersion.version,
            "revision": record.BuildkitVersion.revision,
        },
        "cdiDevices": None,
    }


def _platform_json(platform: Platform) -> Mapping[str, str]:
    fields = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    return {key: value for key, value in fields.items() if value}


def check_caps(label: str, request: FrontendRequest) -> None:
    """Refuse what the client needs and the image does not say that it can do."""
    offered = caps_of(label)
    needed = caps_of(request.opts.get("frontend.caps", ""))
    if request.inputs:
        needed |= {INPUTS_CAP}
    for name in sorted(needed - offered):
        raise Unsupported(f"unsupported frontend capability {name}", FrontendCapDetail(name))


def caps_of(text: str) -> frozenset[str]:
    """The names in a comma-separated list, without what follows a `+`."""
    return frozenset(name for item in text.split(",") if (name := item.partition("+")[0]))
