"""What a container loses when the daemon itself may not do all."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.errors import Unsupported
from croze.fs.owner import ExecUser
from croze.runtime import oci_spec, restrict
from croze.runtime.contract import ContainerSpec, Process
from croze.runtime.host import Host
from croze.runtime.oci_spec import Json, Placement


@pytest.fixture
def config() -> Json:
    placement = Placement(id="x", rootfs="/r", user=ExecUser(0, 0, (0,), "/root"))
    spec = ContainerSpec(root=(), insecure=True)
    return oci_spec.config_json(spec, Process(args=["sh"]), placement, Host())


def destinations(config: Json) -> list[str]:
    return [mount["destination"] for mount in config["mounts"]]


def test_rootless_has_no_cgroups_and_no_sys(config: Json) -> None:
    made = restrict.rootless(config)
    assert {"/sys", "/sys/fs/cgroup"} <= set(destinations(config))
    assert destinations(made) == [d for d in destinations(config) if not d.startswith("/sys")]
    assert not {"cgroupsPath", "resources"} & made["linux"].keys()
    assert made["linux"]["namespaces"] == config["linux"]["namespaces"]


def test_rootless_has_the_devices_that_are_there(config: Json) -> None:
    null, none = {"path": "/dev/null", "type": "c"}, {"path": "/dev/none", "type": "c"}
    config["linux"]["devices"] = [null, none]
    assert restrict.rootless(config)["linux"]["devices"] == [null]


def test_without_a_process_sandbox(config: Json) -> None:
    config["linux"]["maskedPaths"] = ["/proc/kcore", "/sys/firmware"]
    config["linux"]["readonlyPaths"] = ["/proc/sys"]
    made = restrict.without_process_sandbox(config)
    assert made["mounts"][0] == {
        "destination": "/proc",
        "type": "bind",
        "source": "/proc",
        "options": ["rbind"],
    }
    assert destinations(made).count("/proc") == 1
    assert {"type": "pid"} not in made["linux"]["namespaces"]
    assert made["linux"]["maskedPaths"] == ["/sys/firmware"]
    assert made["linux"]["readonlyPaths"] == []


def test_apparmor_where_there_is_some(config: Json, tmp_path: Path) -> None:
    enabled = tmp_path / "enabled"
    with pytest.raises(
        Unsupported, match="AppArmor is not supported on this host, but the profile"
    ):
        restrict.apparmor(config, "p", enabled)
    enabled.write_text("Y\n")
    assert restrict.apparmor(config, "p", enabled)["process"]["apparmorProfile"] == "p"
