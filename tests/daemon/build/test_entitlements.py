"""Privileges: what the daemon allows, the client grants and an op needs; devices by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze.api import ops_pb2
from croze.daemon.build.entitlements import Entitlements
from croze.errors import CrozeError, InvalidRequest, PermissionDenied
from croze.runtime.cdi import Devices

ALL = frozenset({"network.host", "security.insecure", "device"})


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    free = {"org.mobyproject.buildkit.device.autoallow": "true"}
    spec = {
        "cdiVersion": "0.6.0",
        "kind": "x.example/dev",
        "devices": [{"name": "a"}, {"name": "b"}, {"name": "free", "annotations": free}],
    }
    (tmp_path / "x.json").write_text(json.dumps(spec))
    return Devices([str(tmp_path)])


def step(*names: str, optional: bool = False) -> ops_pb2.Op:
    wanted = [ops_pb2.CDIDevice(name=name, optional=optional) for name in names]
    return ops_pb2.Op(exec=ops_pb2.ExecOp(cdiDevices=wanted))


def allowed(devices: Devices, grants: list[str], op: ops_pb2.Op) -> list[str]:
    checked = Entitlements.granted(grants, ALL, devices).check(op)
    return [device.name for device in checked.exec.cdiDevices]


def test_a_step_gets_the_devices_that_were_granted(devices: Devices) -> None:
    assert allowed(devices, ["device"], step("whatever")) == ["whatever"]
    assert allowed(devices, ["device=x.example/dev=a"], step("x.example/dev=a")) == [
        "x.example/dev=a"
    ]
    assert allowed(devices, ["device=x.example/dev=*"], step("x.example/dev=b")) == [
        "x.example/dev=b"
    ]
    assert allowed(devices, [], step("x.example/dev=free")) == ["x.example/dev=free"]
    assert allowed(devices, [], step("x.example/none", optional=True)) == []


def test_an_alias_stands_for_another_device(devices: Devices) -> None:
    grant = "device=x.example/dev=b,alias=x.example/dev=a"
    op = step("x.example/dev=a")
    assert allowed(devices, [grant], op) == ["x.example/dev=b"]
    assert op == step("x.example/dev=a"), "other builds may have the same op"


def test_what_is_refused(devices: Devices) -> None:
    one = "device x.example/dev=a is requested by the build but not allowed"
    with pytest.raises(PermissionDenied, match=f"^{one}$"):
        allowed(devices, ["device=x.example/dev=b"], step("x.example/dev=a"))
    both = "devices x.example/dev=a, x.example/dev=b are requested by the build but not allowed"
    with pytest.raises(PermissionDenied, match=f"^{both}$"):
        allowed(devices, [], step("x.example/dev=*"))
    with pytest.raises(CrozeError, match='required device "no" is not registered'):
        allowed(devices, [], step("no"))


@pytest.mark.parametrize(
    ("grant", "message"),
    [
        ("dance", "unknown entitlement dance"),
        ("network.host=x", "unknown entitlement network.host=x"),
        ("device=a,b", 'invalid device config "b"'),
        ("device=a,b=c", 'unknown device config key "b"'),
    ],
)
def test_grants_that_mean_nothing_are_refused(devices: Devices, grant: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        Entitlements.granted([grant], ALL, devices)


def test_the_daemon_has_the_last_word(devices: Devices) -> None:
    with pytest.raises(PermissionDenied, match=r"granting entitlement device is not allowed"):
        Entitlements.granted(["device=a"], frozenset(), devices)
    op = ops_pb2.Op(exec=ops_pb2.ExecOp(network=ops_pb2.HOST))
    nothing = Entitlements.granted([], ALL, devices)
    with pytest.raises(PermissionDenied, match=r"network\.host is not allowed"):
        nothing.check(op)
