"""Cache mounts from elsewhere that are damaged or forged, and imports that are broken off."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from croze.fs.bundle import format
from croze.fs.bundle.format import BundleIndex, BundleNode
from tests.e2e.app import base
from tests.e2e.faulty import Fault, faulty_registry
from tests.e2e.mounts_machine import APP, Machine, blobs_by_kind, pack_of, pair
from tests.e2e.sandbox import CROZE, Sandbox
from tests.support.files import below
from tests.support.waiting import PATIENCE_S

HOSTILE: dict[str, list[BundleNode]] = {
    "above": [BundleNode(b"../../../../evil", stat.S_IFREG | 0o644, 0, 0, 1)],
    "through a link": [
        BundleNode(b"out", stat.S_IFLNK | 0o777, 0, 0, 1, b"/"),
        BundleNode(b"out/evil", stat.S_IFREG | 0o644, 0, 0, 1),
    ],
    "a device": [BundleNode(b"disk", stat.S_IFBLK | 0o666, 0, 0, 1)],
    "through a link that is here": [
        BundleNode(b"here", stat.S_IFDIR | 0o755, 0, 0, 1),
        BundleNode(b"here/evil", stat.S_IFREG | 0o644, 0, 0, 1),
    ],
}


def test_damaged_caches_are_done_without(machine: Machine, local_registry: str) -> None:
    to, from_ = (f"{value},mounts=tool" for value in pair("local", machine, local_registry))
    folder = machine.sandbox.path / f"cache-{machine.context.name.lower()}"
    machine.build(1, "--cache-to", to)
    blobs = blobs_by_kind(folder)
    assert blobs.keys() == {"cachemounts", "tree", "pack"}
    for kind, (path,) in blobs.items():
        data = path.read_bytes()
        path.write_bytes(b"x" * len(data))
        machine.cold()
        machine.build(2, "--cache-from", from_)
        assert re.search(r"failed to .* cache mount.*digest", machine.log), (kind, machine.log)
        assert machine.seen == []
        path.write_bytes(data)


def test_hostile_caches_reach_nothing(machine: Machine, local_registry: str) -> None:
    to, from_ = (f"{value},mounts=tool" for value in pair("local", machine, local_registry))
    folder = machine.sandbox.path / f"cache-{machine.context.name.lower()}"
    victim = machine.sandbox.path / "victim"
    victim.mkdir()
    link = f"ln -sfn {victim} /cache/here && ls /cache >"
    (machine.context / "Dockerfile").write_text(APP.replace("ls /cache >", link))
    machine.build(1, "--cache-to", to)
    (index,), (listing,) = (blobs_by_kind(folder)[kind] for kind in ("tree", "cachemounts"))
    for step, (what, nodes) in enumerate(HOSTILE.items(), 2):
        root = BundleNode(b"", stat.S_IFDIR | 0o755, 0, 0, 1)
        data = format.encode(BundleIndex((root, *nodes), ()))
        index, listing = forged(folder, index, listing, data)
        machine.build(step, "--cache-from", from_)
        if what != "through a link that is here":
            assert "failed to import cache mount tool: invalid cache mount index" in machine.log
        assert machine.seen[:2] == ["here", "last"], what
        assert "disk" not in machine.seen
        assert not list(victim.iterdir()), what
        assert not [each for each in below(machine.sandbox.path) if each.name == "evil"]


def forged(layout: Path, index: Path, listing: Path, data: bytes) -> tuple[Path, Path]:
    """Put other bytes in an index's place, and make everything above fit."""
    new = _stored(layout, data)
    told = json.loads(listing.read_text())
    told["mounts"][0]["index"] = {"digest": _digest(new), "size": len(data)}
    told["mounts"][0]["packs"] = []
    new_listing = _stored(layout, json.dumps(told).encode())
    top = json.loads((layout / "index.json").read_text())
    manifest = json.loads((layout / "blobs/sha256" / top["manifests"][0]["digest"][7:]).read_text())
    for layer in manifest["layers"]:
        for old, made in ((index, new), (listing, new_listing)):
            if layer["digest"] == _digest(old):
                layer["digest"], layer["size"] = _digest(made), made.stat().st_size
    made = _stored(layout, json.dumps(manifest).encode())
    top["manifests"][0] |= {"digest": _digest(made), "size": made.stat().st_size}
    (layout / "index.json").write_text(json.dumps(top))
    return new, new_listing


def _stored(layout: Path, data: bytes) -> Path:
    path = layout / "blobs/sha256" / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return path


def _digest(path: Path) -> str:
    return f"sha256:{path.name}"


@pytest.mark.parametrize("broken_by", ["cancelled", "killed"])
def test_an_import_that_is_broken_off_changes_nothing(
    sandbox: Sandbox, busybox: Path, local_registry: str, broken_by: str
) -> None:
    machine = Machine(sandbox, busybox, sandbox.context("app", {"Dockerfile": APP}))
    name = f"mounts/broken-{broken_by}:cache"
    to = f"type=registry,ref={local_registry}/{name},mounts=tool"
    machine.build(1, "--target=tool", "--cache-to", to)
    machine.cold()
    machine.build(2, "--target=tool")
    with faulty_registry(local_registry) as faulty:
        faulty.faults = [Fault("stall", path=f"/blobs/{pack_of(local_registry, name)}")]
        from_ = f"type=registry,ref={faulty.host}/{name},mounts=*"
        words = ["build", *base(busybox), "--target=tool", "--build-arg=STEP=3"]
        command = [CROZE, *words, "--cache-from", from_, machine.context]
        client = subprocess.Popen(
            [str(word) for word in command], env=sandbox.env, stderr=subprocess.DEVNULL
        )
        assert faulty.stalled.wait(PATIENCE_S)
        if broken_by == "killed":
            sandbox.stop(signal.SIGKILL)
            client.kill()  # it would wait for more to hear
            sandbox.start()
        else:
            client.send_signal(signal.SIGINT)
        client.wait(PATIENCE_S)
    (listed,) = machine.sandbox.croze("cache-mount", "ls", "-q").stdout.split()
    assert listed == "tool"
    assert list((sandbox.root / "scratch").iterdir()) == []
    assert list((sandbox.root / "ingest").iterdir()) == []
    machine.build(4, "--target=tool", "--cache-from", to)
    assert machine.seen == ["last", "step1", "step2"]
