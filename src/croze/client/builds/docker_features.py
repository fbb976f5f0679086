"""What the builder inside a Docker engine does only with the engine's containerd image store, and
what its worker tells besides.

Source: docker/buildx `driver/docker/driver.go` (how it is told), `build/opt.go` (who asks).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from croze.client.flags.cache import parse_caches
from croze.client.flags.image import wanted_attests
from croze.client.flags.output import parse_outputs
from croze.errors import InvalidRequest, Unsupported

if TYPE_CHECKING:
    from croze.api import worker_pb2
    from croze.client.planning.options import BuildOptions

_DOCS = "https://docs.docker.com/go"
_SNAPSHOTTER = "org.mobyproject.buildkit.worker.snapshotter"
"""The label of a worker whose images are containerd's."""
_GATEWAY = (":host-gateway", "=host-gateway")
_HOST_GATEWAY = "org.mobyproject.buildkit.worker.moby.host-gateway-ip"


class Workers(Protocol):
    """Tells the workers of a daemon: a `Client`."""

    async def workers(self) -> list[worker_pb2.WorkerRecord]:
        """All workers of the daemon."""


async def host_gateway(client: Workers, builds: Mapping[str, BuildOptions]) -> str:
    """The address that `--add-host NAME:host-gateway` stands for; empty if nobody asks. Raises
    `InvalidRequest` of an engine that tells none."""
    if not any(each.endswith(_GATEWAY) for o in builds.values() for each in o.add_hosts):
        return ""
    for worker in await client.workers():
        if address := worker.Labels.get(_HOST_GATEWAY, ""):
            return address
    raise InvalidRequest(
        "unable to derive the IP value for host-gateway: host-gateway IP not found"
    )


async def check(client: Workers, builds: Mapping[str, BuildOptions]) -> None:
    """See that a Docker engine's builder can do what the builds ask for that takes the containerd
    image store. Raises `Unsupported`, with what to do."""
    features = [each for options in builds.values() for each in _wanted(options)]
    if not features:
        return
    if await has_image_store(client):
        return
    feature, page = features[0]
    raise Unsupported(
        f"{feature} is not supported for the docker driver.\n"
        "Switch to a different driver, or turn on the containerd image store, and try again.\n"
        f"Learn more at {_DOCS}/{page}/"
    )


async def has_image_store(client: Workers) -> bool:
    """Whether the engine's images are in containerd's image store."""
    return any(_SNAPSHOTTER in worker.Labels for worker in await client.workers())


def _wanted(options: BuildOptions) -> Iterator[tuple[str, str]]:
    """Features, and where each is described."""
    if any(cache.type != "inline" for cache in parse_caches(options.cache_to)):
        yield "Cache export", "build-cache-backends"
    if wanted_attests(options.attests, options.provenance, options.sbom, supported=False):
        yield "Attestation", "attestations"
    for output in parse_outputs(options.outputs):
        if output.type == "oci":
            yield "OCI exporter", "build-exporters"
        if output.type == "docker" and output.dest:
            yield "Docker exporter", "build-exporters"
    if len({part for text in options.platforms for part in text.split(",") if part}) > 1:
        yield "Multi-platform build", "build-multi-platform"
