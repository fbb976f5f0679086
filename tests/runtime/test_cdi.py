"""Devices: the spec files that are read, what a name stands for, what a container gets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from croze.errors import CrozeError, InvalidRequest, NotFound, Unavailable
from croze.runtime.cdi import Devices, edits
from croze.runtime.cdi_edits import apply
from croze.runtime.contract import ContainerEdits, DeviceNode, Hook, MountEdit

GPUS = """
cdiVersion: "0.6.0"
kind: "vendor.example/gpu"
annotations:
  org.mobyproject.buildkit.device.autoallow: true
containerEdits:
  env: [ALL=1]
devices:
- name: two
  containerEdits: {env: [GPU=2]}
- name: one
  annotations:
    org.mobyproject.buildkit.device.class: fast
    count: 7
  containerEdits: {env: [GPU=1]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gpu.yaml").write_text(GPUS)
    nic = {"cdiVersion": "0.6.0", "kind": "vendor.example/nic", "devices": [{"name": "a"}]}
    (tmp_path / "nic.json").write_text(json.dumps(nic))
    (tmp_path / "notes.txt").write_text("not a spec")
    return tmp_path


def names(devices: Devices, wanted: str, *, optional: bool = False) -> list[str]:
    return [d.name.partition("/")[2] for d in devices.find(wanted, optional=optional)]


def test_what_a_name_stands_for(folder: Path) -> None:
    devices = Devices([str(folder)])
    assert names(devices, "vendor.example/gpu=two") == ["gpu=two"]
    assert names(devices, "vendor.example/gpu") == ["gpu=one"]
    assert names(devices, "vendor.example/gpu=*") == ["gpu=one", "gpu=two"]
    assert names(devices, "fast") == ["gpu=one"]
    assert names(devices, "vendor.example/none", optional=True) == []
    with pytest.raises(NotFound, match=r'device "vendor\.example/none" is not registered'):
        devices.find("vendor.example/none")


def test_annotations_and_what_is_allowed(folder: Path) -> None:
    gpu, other, nic = Devices([str(folder)]).all()
    assert gpu.annotations["count"] == "7"
    assert (gpu.auto_allowed, other.auto_allowed, nic.auto_allowed) == (True, True, False)
    for name in ("vendor.example/nic", "vendor.example/nic=a"):
        assert Devices([str(folder)], auto_allowed=[name]).all()[2].auto_allowed


def test_files_come_and_go(folder: Path) -> None:
    devices = Devices([str(folder / "missing"), str(folder)])
    assert len(devices.all()) == 3
    (folder / "nic.json").unlink()
    assert len(devices.all()) == 2
    (folder / "bad.yaml").write_text("kind: [")
    assert len(devices.all()) == 2


def test_later_folders_come_first_and_twins_cancel_out(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    mine = GPUS.replace("GPU=1", "GPU=mine")
    (other / "gpu.yaml").write_text(mine)
    (one,) = Devices([str(folder), str(other)]).find("vendor.example/gpu=one")
    assert one.own.env == ["GPU=mine"]
    (other / "again.yaml").write_text(mine)
    assert names(Devices([str(other)]), "vendor.example/gpu=one", optional=True) == []


def test_edits_of_all_are_made_once(folder: Path) -> None:
    found = edits(Devices([str(folder)]).find("vendor.example/gpu=*"))
    assert [one.env for one in found] == [["GPU=1"], ["ALL=1"], ["GPU=2"]]


def config(uid: int = 0) -> dict[str, Any]:
    return {
        "process": {"env": ["A=1", "B=2"], "user": {"uid": uid, "gid": 0}},
        "mounts": [],
        "linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}},
    }


def test_a_container_gets_it_all() -> None:
    made = config(uid=1000)
    one = ContainerEdits(
        env=["B=3", "C=4"],
        device_nodes=[DeviceNode("/dev/mine", host_path="/dev/null", permissions="r")],
        mounts=[MountEdit("/host", "/inside", ["ro", "bind"])],
        hooks=[Hook("createContainer", "/bin/hook", ["hook", "x"], timeout=3)],
        additional_gids=[44, 0],
    )
    apply(made, [one])
    assert made["process"]["env"] == ["A=1", "B=3", "C=4"]
    assert made["process"]["user"]["additionalGids"] == [44]
    null = {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "uid": 1000}
    assert made["linux"]["devices"] == [null]
    rule = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}
    assert made["linux"]["resources"]["devices"][1:] == [rule]
    assert made["mounts"] == [
        {"destination": "/inside", "source": "/host", "type": "bind", "options": ["ro", "bind"]}
    ]
    hook = {"path": "/bin/hook", "args": ["hook", "x"], "timeout": 3}
    assert made["hooks"] == {"createContainer": [hook]}


def test_given_numbers_need_no_file_on_the_host() -> None:
    made = config()
    apply(made, [ContainerEdits(device_nodes=[DeviceNode("/dev/x", type="b", major=7, minor=1)])])
    assert made["linux"]["devices"] == [{"path": "/dev/x", "type": "b", "major": 7, "minor": 1}]


@pytest.mark.parametrize(
    ("edit", "kind", "message"),
    [
        (ContainerEdits(device_nodes=[DeviceNode("/dev/nope")]), Unavailable, "failed to stat"),
        (ContainerEdits(device_nodes=[DeviceNode(os.devnull, type="b")]), CrozeError, "no device"),
        (ContainerEdits(hooks=[Hook("whenever", "/x")]), InvalidRequest, "invalid hook name"),
    ],
)
def test_what_can_t_be_done(edit: ContainerEdits, kind: type[CrozeError], message: str) -> None:
    with pytest.raises(kind, match=message):
        apply(config(), [edit])
