"""What the network mode `auto` stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.daemon.config.toml import OciWorker
from croze.daemon.worker.network_mode import host_gateway, network_mode
from croze.daemon.worker.networks import network_config
from croze.errors import InvalidRequest


def test_auto_is_the_network_that_the_machine_has(tmp_path: Path) -> None:
    config = tmp_path / "cni.json"
    worker = OciWorker(cni_config_path=str(config))
    assert network_mode(worker, {}) == "host"
    assert network_mode(worker, {"BUILDKIT_NETWORK_BRIDGE_AUTO": "1"}) == "bridge"
    config.touch()
    assert network_mode(worker, {}) == "cni"
    rootless = OciWorker(cni_config_path=str(config), rootless=True)
    assert network_mode(rootless, {"BUILDKIT_NETWORK_BRIDGE_AUTO": "1"}) == "host"


def test_modes_by_name() -> None:
    for mode in ("host", "none", "bridge", "cni", "slirp4netns"):
        assert network_mode(OciWorker(network_mode=mode), {}) == mode
    with pytest.raises(InvalidRequest, match='invalid network mode: "x"'):
        network_mode(OciWorker(network_mode="x"), {})


def test_where_the_machine_is_for_its_containers() -> None:
    assert host_gateway(OciWorker(network_mode="host")) == "127.0.0.1"
    assert host_gateway(OciWorker(network_mode="bridge")) == "10.10.0.1"
    assert host_gateway(OciWorker(network_mode="bridge", bridge_subnet="fd00::/64")) == "fd00::1"
    assert host_gateway(OciWorker(network_mode="none")) == ""


@pytest.mark.parametrize("subnet", ["odd", "10.10.0.1", "10.10.0.0/31", "10.10.0.0/33", "/"])
def test_subnets_that_are_none(subnet: str) -> None:
    with pytest.raises(InvalidRequest, match=f"invalid CIDR address: {subnet}$"):
        host_gateway(OciWorker(network_mode="bridge", bridge_subnet=subnet))
    with pytest.raises(InvalidRequest, match=f"invalid CIDR address: {subnet}$"):
        network_config(OciWorker(bridge_subnet=subnet), "bridge")


def test_names_that_no_bridge_can_have() -> None:
    for name in ("sixteen-letters-", "a/b"):
        with pytest.raises(InvalidRequest, match=f'"{name}" is no name of an interface$'):
            network_config(OciWorker(bridge_name=name), "bridge")
