"""What a Docker engine's builder is not asked for, in buildx's words."""

from __future__ import annotations

import pytest

from croze.api import worker_pb2
from croze.client.builds import docker_features
from croze.client.planning.options import BuildOptions
from croze.errors import InvalidRequest, Unsupported

STORE = {"org.mobyproject.buildkit.worker.snapshotter": "overlayfs"}


class Engine:
    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = labels

    async def workers(self) -> list[worker_pb2.WorkerRecord]:
        return [worker_pb2.WorkerRecord(Labels=self._labels)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (BuildOptions(context=".", cache_to=["type=local,dest=x"]), "Cache export"),
        (BuildOptions(context=".", outputs=["type=oci,dest=x"]), "OCI exporter"),
        (BuildOptions(context=".", outputs=["type=docker,dest=x"]), "Docker exporter"),
        (BuildOptions(context=".", platforms=["linux/amd64,linux/arm64"]), "Multi-platform build"),
        (BuildOptions(context=".", sbom="true"), "Attestation"),
        (BuildOptions(context=".", attests=["type=provenance,mode=max"]), "Attestation"),
    ],
)
async def test_what_needs_the_containerd_store(options: BuildOptions, said: str) -> None:
    await docker_features.check(Engine(STORE), {"default": options})
    with pytest.raises(Unsupported, match=f"^{said} is not supported for the docker driver.\n"):
        await docker_features.check(Engine({}), {"default": options})


async def test_the_rest_is_not_asked_about() -> None:
    options = BuildOptions(
        context=".", cache_to=["type=inline"], outputs=["type=docker"], provenance="false"
    )
    await docker_features.check(Engine({}), {"default": options})


async def test_the_hosts_own_address() -> None:
    engine = Engine({"org.mobyproject.buildkit.worker.moby.host-gateway-ip": "172.17.0.1"})
    wanted = {"default": BuildOptions(context=".", add_hosts=["up:host-gateway"])}
    assert await docker_features.host_gateway(engine, wanted) == "172.17.0.1"
    with pytest.raises(InvalidRequest, match=r"host-gateway: host-gateway IP not found$"):
        await docker_features.host_gateway(Engine({}), wanted)
    others = {"default": BuildOptions(context=".", add_hosts=["host-gateway:1.2.3.4"])}
    assert await docker_features.host_gateway(Engine({}), others) == ""
