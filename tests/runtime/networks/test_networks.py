"""Every network a container can be in, by one suite; and what CNI plugins are told."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from croze.errors import CrozeError, InvalidRequest, Unavailable
from croze.runtime.contract import ContainerSpec, Process
from croze.runtime.networks.cni import CniNetwork
from croze.runtime.networks.cni_config import NetworkConfig, bridge_config, read_config
from croze.runtime.networks.netns import has_interface, in_namespace
from croze.runtime.networks.provider import HostNetwork, NetworkProvider, NoNetwork
from croze.runtime.oci import OciConfig, OciExecutor
from croze.telemetry.interface import Counters
from tests.runtime.conftest import Output

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("own_mounts")]
BRIDGE, SUBNET = "crozetest0", "10.93.0.0/24"


@asynccontextmanager
async def bridge(folder: Path, *, pool_size: int = 0) -> AsyncIterator[CniNetwork]:
    config = bridge_config(BRIDGE, SUBNET, "", os.environ)
    network = CniNetwork(config, folder, pool_size=pool_size)
    try:
        yield network
    finally:
        await network.close()
    assert not has_interface(BRIDGE)
    assert list(folder.iterdir()) == []


@asynccontextmanager
async def host(folder: Path) -> AsyncIterator[HostNetwork]:
    yield HostNetwork()


@asynccontextmanager
async def none(folder: Path) -> AsyncIterator[NoNetwork]:
    yield NoNetwork()


Opened = Callable[[Path], AbstractAsyncContextManager[NetworkProvider]]


async def look_around(
    provider: NetworkProvider, tmp_path: Path, spec: ContainerSpec
) -> tuple[set[str], str]:
    """The interfaces that a container sees, and the namespace it is in."""
    out = Output()
    config = OciConfig(tmp_path / "run", networks={"sandbox": provider}, private_mounts=True)
    process = Process(["/bin/sh", "-c", "/bin/cat /proc/net/dev; /bin/ls -l /proc/self/ns/net"])
    assert await OciExecutor(config).run(spec, process, out.stdio()) == 0
    *lines, link = bytes(out.stdout).decode().splitlines()[2:]
    return {line.partition(":")[0].strip() for line in lines}, link.rpartition(" -> ")[2]


@pytest.mark.parametrize(
    ("opened", "alone", "connected"),
    [(host, False, True), (none, True, False), (bridge, True, True)],
)
async def test_a_container_is_in_it(
    opened: Opened,
    alone: bool,
    connected: bool,
    tmp_path: Path,
    spec: Callable[..., ContainerSpec],
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    async with opened(folder) as provider:
        seen, namespace = await look_around(provider, tmp_path, spec(network="sandbox"))
        assert provider.shares_host is not alone
    assert "lo" in seen
    assert (seen == {"lo"}) is not connected
    assert (namespace != os.readlink("/proc/self/ns/net")) is alone


async def test_containers_reach_the_host_over_the_bridge(
    tmp_path: Path, spec: Callable[..., ContainerSpec]
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    async with bridge(folder) as provider, provider.open("one", "") as first:
        note = json.loads(next(folder.glob("*.json")).read_text())
        address = note["result"]["ips"][0]["address"]
        assert address.startswith("10.93.0.")
        assert Path(first.path).exists()
        heard: list[tuple[str, bytes]] = []

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer: str = writer.get_extra_info("peername")[0]
            heard.append((peer, await reader.readline()))
            writer.close()

        async with await asyncio.start_server(hear, "10.93.0.1", 0) as server:  # noqa: TID251
            run = tmp_path / "run"
            config = OciConfig(run, networks={"sandbox": provider}, private_mounts=True)
            port = server.sockets[0].getsockname()[1]
            text = f"echo hello | nc -w 2 10.93.0.1 {port}; nc -w 1 127.0.0.1 {port} || echo apart"
            out = Output()
            shell = Process(["/bin/sh", "-c", text], env=["PATH=/bin"])
            assert await OciExecutor(config).run(spec(network="sandbox"), shell, out.stdio()) == 0
        assert bytes(out.stdout) == b"apart\n", bytes(out.stderr)
        ((peer, line),) = heard
        assert line == b"hello\n"
        assert peer.startswith("10.93.0.")
        assert peer != address.partition("/")[0]


async def test_what_is_ready_is_used_again(tmp_path: Path) -> None:
    async with bridge(tmp_path, pool_size=1) as provider:
        async with provider.open("one", "") as first, provider.open("two", "") as second:
            assert first.path != second.path
        async with provider.open("three", "") as third:
            assert third.path in (first.path, second.path)
        async with provider.open("four", "my-name") as named:
            assert named.path != third.path
        assert len(list(tmp_path.glob("*.netns"))) == 1


def translations() -> str:
    """The host's address translation rules."""
    return subprocess.check_output(["iptables", "-t", "nat", "-S"], text=True)


async def test_what_a_killed_daemon_left_is_swept(tmp_path: Path) -> None:
    config = bridge_config(BRIDGE, SUBNET, "", os.environ)
    killed = CniNetwork(config, tmp_path)
    held = await killed.open("x", "").__aenter__()
    assert Path(held.path).stem in translations()
    async with bridge(tmp_path) as fresh:
        await fresh.sweep()
        assert list(tmp_path.glob("*.json")) == []
    assert Path(held.path).stem not in translations()
    leases = Path("/var/lib/cni/networks/buildkit")
    assert list(leases.glob("10.93.0.*")) == []


# -- plugins ---------------------------------------------------------------------------------

PLUGIN = """#!/bin/sh
echo "$CNI_COMMAND $CNI_IFNAME $CNI_ARGS $(basename $0)" >> {log}
[ "$(basename $0)" = bad ] && [ $CNI_COMMAND = ADD ] && {{
  echo '{{"code": 7, "msg": "no room", "details": "at all"}}'; exit 1; }}
[ $CNI_COMMAND = ADD ] && echo '{{"cniVersion": "1.0.0"}}' || true
"""


def plugins(folder: Path, *names: str) -> NetworkConfig:
    for name in names:
        file = folder / name
        file.write_text(PLUGIN.format(log=folder / "log"))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    config = folder / "n.conflist"
    listed = [{"type": name} for name in names]
    config.write_text(json.dumps({"name": "n", "cniVersion": "1.0.0", "plugins": listed}))
    return read_config(config, [str(folder)])


async def test_plugins_are_called_in_turn_and_back(tmp_path: Path) -> None:
    config = plugins(tmp_path, "one", "two")
    attached = tmp_path / "net"
    attached.mkdir()
    async with CniNetwork(config, attached).open("c", "web"):
        pass
    arguments = "eth0 IgnoreUnknown=1;K8S_POD_NAME=web"
    assert (tmp_path / "log").read_text().splitlines() == [
        f"{command} {arguments} {name}"
        for command, name in (("ADD", "one"), ("ADD", "two"), ("DEL", "two"), ("DEL", "one"))
    ]
    assert list(attached.iterdir()) == []


async def test_the_interface_of_the_host_that_leads_inside(tmp_path: Path) -> None:
    """Its counters tell what a container sends and receives."""
    async with bridge(tmp_path) as network, network.open("c", "") as namespace:
        assert namespace.interface.startswith("veth")
        counters = Counters(namespace.interface)
        in_namespace(Path(namespace.path), lambda: _knock(SUBNET.replace(".0/24", ".1")))
        told = counters.since()
        assert told is not None
        assert told.keys() >= {"rxBytes", "rxPackets", "txBytes", "txPackets"}


def _knock(address: str) -> None:
    """Nobody listens, and says so."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 9), timeout=10)


async def test_a_plugin_that_fails(tmp_path: Path) -> None:
    config = plugins(tmp_path, "one", "bad")
    attached = tmp_path / "net"
    attached.mkdir()
    with pytest.raises(CrozeError, match=r'setup error: plugin type="bad" failed \(add\): no room'):
        async with CniNetwork(config, attached).open("c", ""):
            pass
    assert "DEL eth0  one" in (tmp_path / "log").read_text()
    assert list(attached.iterdir()) == []


def test_bad_configurations(tmp_path: Path) -> None:
    path = tmp_path / "cni.json"
    with pytest.raises(InvalidRequest, match="No such file"):
        read_config(path, [])
    for text, message in (
        ("{", "failed to load CNI config"),
        ('{"name": "n", "plugins": []}', "a plugin has no type"),
        ('{"type": "bridge"}', "the network has no name"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidRequest, match=message):
            read_config(path, [])
    path.write_text('{"name": "n", "type": "bridge"}')
    config = read_config(path, [str(tmp_path)])
    with pytest.raises(Unavailable, match='failed to find plugin "bridge" in path'):
        config.executable(config.plugins[0])


def test_the_bridge_needs_its_plugins(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"failed to find CNI bridge \".*/bridge\" or buildkit-"):
        bridge_config("", "", str(tmp_path), {"PATH": str(tmp_path)})
    for name in ("loopback", "bridge", "host-local", "firewall"):
        shutil.copy("/bin/true", tmp_path / f"buildkit-cni-{name}")
    found = bridge_config("", "", "/nowhere", {"PATH": str(tmp_path)})
    assert [p["type"] for p in found.plugins] == [
        "buildkit-cni-loopback",
        "buildkit-cni-bridge",
        "buildkit-cni-firewall",
    ]
    assert found.folders == (str(tmp_path),)
