"""What is different for the root of a user namespace."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from croze.fs import userns
from croze.fs.tar import extract
from croze.fs.tar.apply import apply_layer
from croze.fs.userns import in_user_namespace, overlay_xattr


def test_where_all_ids_are_the_machines(tmp_path: Path) -> None:
    everyone, some = tmp_path / "everyone", tmp_path / "some"
    everyone.write_text("         0          0 4294967295\n")
    some.write_text("         0       1000          1\n         1     100000      65536\n")
    assert not in_user_namespace(everyone)
    assert in_user_namespace(some)
    assert not in_user_namespace(tmp_path / "none")


def layer() -> bytes:
    """A directory that hides what is below it, a device, and a file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind in (
            ("d", tarfile.DIRTYPE),
            ("d/.wh..wh..opq", tarfile.REGTYPE),
            ("d/null", tarfile.CHRTYPE),
            ("d/disk", tarfile.BLKTYPE),
            ("d/fifo", tarfile.FIFOTYPE),
            ("d/file", tarfile.REGTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.devmajor, info.devminor = kind, 0o755, 1, 3
            info.uid, info.gid = os.geteuid(), os.getegid()
            tar.addfile(info)
    return out.getvalue()


def test_layers_without_their_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (userns, extract):
        monkeypatch.setattr(module, "in_user_namespace", lambda: True)
    (tmp_path / "layer").write_bytes(layer())
    (tmp_path / "fs").mkdir()
    media_type = "application/vnd.oci.image.layer.v1.tar"
    apply_layer(str(tmp_path / "layer"), media_type, str(tmp_path / "fs"), overlay=True)
    assert sorted(os.listdir(tmp_path / "fs/d")) == ["fifo", "file"]
    assert overlay_xattr("opaque") == "user.overlay.opaque"
    assert os.getxattr(tmp_path / "fs/d", "user.overlay.opaque") == b"y"
