"""The driver against a server that answers what a real one did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from croze.api import control_pb2
from croze.builders.model import BuilderNode
from croze.drivers.contract import NodeStatus
from croze.drivers.kubernetes.config import cluster_of
from croze.drivers.kubernetes.driver import KubernetesDriver
from croze.errors import CrozeError, PermissionDenied, Unavailable
from tests.support.kubernetes import (
    SUCCESS,
    V4,
    V5,
    ApiServer,
    Streams,
    recorded,
    serve,
    write_kubeconfig,
)

DIAL = "buildctl dial-stdio"


@dataclass
class Place:
    server: ApiServer
    kubeconfig: Path

    def driver(self, name: str, **options: str) -> KubernetesDriver:
        endpoint = f"kubernetes:///b?deployment=&kubeconfig={self.kubeconfig}"
        files = {"buildkitd.toml": b"debug = true\n"}
        driver_opts = {key.replace("_", "-"): value for key, value in options.items()}
        node = BuilderNode(name, endpoint, driver_opts=driver_opts, files=files)
        return KubernetesDriver(node, cluster_of(endpoint), "/context")

    def changes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path, _ in self.server.seen if method != "GET"]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    server = ApiServer()
    async with serve(server, tmp_path) as kubeconfig:
        yield Place(server, kubeconfig)


CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def test_from_nothing_to_nothing(place: Place) -> None:
    driver = place.driver("kube0", replicas="2")
    assert await driver.status() is NodeStatus.INACTIVE
    told: list[control_pb2.StatusResponse] = []
    await driver.boot(told.append)
    assert place.changes() == [("POST", CONFIG_MAPS), ("POST", DEPLOYMENTS)]
    assert [v.name for s in told for v in s.vertexes] == ["[internal] booting buildkit"] * 2
    parts = {status.ID for s in told for status in s.statuses}
    assert parts == {"waiting for 2 pods to be ready, timeout: 2 minutes"}
    assert await driver.status() is NodeStatus.RUNNING
    assert [node.name.rpartition("-")[0] for node in await driver.dynamic_nodes()] == [
        "kube0-5c95bfc9ff",
        "kube0-5c95bfc9ff",
    ]
    told.clear()
    await driver.boot(told.append)
    assert told == [], "it runs already"
    await driver.stop()
    await driver.remove(state=True, daemon=False)
    assert await driver.status() is NodeStatus.RUNNING
    await driver.remove(state=True, daemon=True)
    gone = [("DELETE", f"{DEPLOYMENTS}/kube0"), ("DELETE", f"{CONFIG_MAPS}/kube0-config")]
    assert place.changes()[2:] == gone
    assert await driver.status() is NodeStatus.INACTIVE


async def test_what_is_sent_is_what_a_server_took(place: Place) -> None:
    await place.driver("kube0", replicas="2").boot()
    request = next(x for x in recorded() if (x["method"], x["path"]) == ("POST", DEPLOYMENTS))
    sent = next(sent for method, path, sent in place.server.seen if path == DEPLOYMENTS)
    assert sent == request["sent"]


async def test_a_stateful_set(place: Place) -> None:
    driver = place.driver("bad0", **{"persistent-volume-claim.requests.storage": "1Gi"})
    await driver.boot()
    assert place.changes()[-1] == ("POST", "/apis/apps/v1/namespaces/default/statefulsets")
    assert await driver.status() is NodeStatus.RUNNING


async def test_settings_of_an_earlier_node_are_replaced(place: Place) -> None:
    driver = place.driver("bad0", **{"requests.cpu": "2", "limits.cpu": "1"})
    with pytest.raises(CrozeError) as caught:
        await driver.boot()
    assert str(caught.value) == (
        'error while calling Create for "bad0": Deployment.apps "bad0" is invalid: '
        'spec.template.spec.containers[0].resources.requests: Invalid value: "2": must be less '
        "than or equal to cpu limit of 1"
    )
    assert place.changes() == [
        ("POST", CONFIG_MAPS),
        ("PUT", f"{CONFIG_MAPS}/bad0-config"),
        ("POST", DEPLOYMENTS),
    ]
    await driver.remove(state=True, daemon=True)  # it is not there, and that is well


async def test_the_server_s_warnings_are_shown(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.server.warning = r"metadata.name: a \"DNS label\" is recommended"
    await place.driver("kube0").status()
    assert [r.message for r in caplog.records if r.name.startswith("croze")] == [
        'metadata.name: a "DNS label" is recommended'
    ]


async def test_pods_that_never_get_ready(place: Place) -> None:
    driver = place.driver("kube0", replicas="3", timeout="300ms")
    with pytest.raises(Unavailable, match=r"expected 3 replicas to be ready, got [02]"):
        await driver.boot()


@pytest.mark.parametrize("timeout", ["-1s", "0s", "1ms"])
async def test_no_time_to_look_at_pods(place: Place, timeout: str) -> None:
    """buildx goes on then, and finds no pod when it dials one."""
    await place.driver("kube0", replicas="3", timeout=timeout).boot()


async def test_a_user_whom_the_server_does_not_know(place: Place) -> None:
    write_kubeconfig(place.kubeconfig, place.server.url, token="other")
    driver = place.driver("kube0")
    assert await driver.status() is NodeStatus.INACTIVE
    with pytest.raises(PermissionDenied, match='error for bootstrap "kube0": Unauthorized'):
        await driver.boot()
    with pytest.raises(PermissionDenied, match=r'deploymentClient\.Delete for "kube0": Unauth'):
        await driver.remove(state=True, daemon=True)


async def test_a_server_that_is_not_there(place: Place) -> None:
    write_kubeconfig(place.kubeconfig, "https://127.0.0.1:1")
    driver = place.driver("kube0")
    assert await driver.status() is NodeStatus.INACTIVE
    with pytest.raises(Unavailable, match=r'Get "https://127\.0\.0\.1:1/apis/.*refused'):
        await driver.boot()


async def test_a_server_with_another_certificate(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    server = ApiServer()
    async with serve(server, other):
        write_kubeconfig(place.kubeconfig, server.url)
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await place.driver("kube0").boot()
    assert server.seen == []


@pytest.mark.parametrize("protocols", [(V5, V4), (V4,)])
async def test_a_command_carries_a_connection(place: Place, protocols: tuple[str, ...]) -> None:
    """Much goes both ways; what it says besides is not mixed in."""
    place.server.protocols = protocols
    total = 1 << 20

    async def echo(streams: Streams) -> bytes:
        await streams.send(2, b"a word to stderr\n")
        remaining_bytes = total
        while remaining_bytes:
            data = await streams.read()
            remaining_bytes -= len(data)
            await streams.send(1, data)
        return SUCCESS

    place.server.commands[DIAL] = echo
    driver = place.driver("kube0", replicas="2")
    await driver.boot()
    async with driver.streams() as (reader, writer):
        assert writer.can_write_eof() is (V5 in protocols)
        sent = bytes(range(256)) * (total // 256)
        writer.write(sent)
        await writer.drain()
        got = bytearray()
        while data := await reader.read(1000):
            got += data
    assert bytes(got) == sent


async def test_a_command_hears_of_the_end(place: Place) -> None:
    async def count(streams: Streams) -> bytes:
        size = 0
        while data := await streams.read():
            size += len(data)
        await streams.send(1, str(size).encode())
        return SUCCESS

    place.server.commands[DIAL] = count
    driver = place.driver("kube0", replicas="2")
    await driver.boot()
    async with driver.streams() as (reader, writer):
        writer.write(b"12345")
        writer.write_eof()
        await writer.drain()
        assert await reader.read() == b"5"
        assert await reader.read() == b""


async def test_a_command_that_fails(place: Place) -> None:
    failure = b'{"status":"Failure","message":"command terminated with exit code 127"}'

    async def fail(streams: Streams) -> bytes:
        return failure

    place.server.commands[DIAL] = fail
    driver = place.driver("kube0", replicas="2")
    await driver.boot()
    with pytest.raises(Unavailable, match="command terminated with exit code 127"):
        async with driver.dial() as client:
            await client.info()


async def test_a_server_without_websockets(place: Place) -> None:
    driver = place.driver("kube0", replicas="2")
    await driver.boot()
    place.server.upgrades = False
    with pytest.raises(CrozeError, match="takes no WebSockets"):
        async with driver.dial() as client:
            await client.info()


async def test_no_pod_is_running(place: Place) -> None:
    await place.driver("kube0", replicas="2").boot()
    place.server.pods_phase = "Pending"
    with pytest.raises(CrozeError, match="no running buildkit pods found"):
        async with place.driver("kube0", replicas="2").dial() as client:
            await client.info()
