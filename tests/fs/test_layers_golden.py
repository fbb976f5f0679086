"""Layer tars, byte for byte, made the way BuildKit's were: real commands on a real overlay."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from croze.fs.copy.copy import copy
from croze.fs.copy.request import CopyRequest
from croze.fs.owner import NumericOwner
from croze.fs.tar.apply import apply_layer
from croze.fs.tar.archive import unpack
from croze.fs.tar.compress import BlobSums
from croze.fs.tar.write import write_layer

DATA = Path(__file__).parent.parent / "golden/data/cache/layers"
RUNS = sorted(p.name for p in DATA.iterdir() if p.is_dir() and p.name not in ("add-tar", "copy"))
COMPARABLE = [name for name in RUNS if name != "hardlink"]
"""An upperdir hides names of a lower file that a comparison of whole trees sees."""
EPOCH = 1600000050

pytestmark = pytest.mark.root


class Overlay:
    """A mounted overlay over the unpacked base."""

    def __init__(self, root: Path) -> None:
        for name in ("lower", "upper", "work", "merged"):
            (root / name).mkdir()
        self.lower, self.upper = str(root / "lower"), str(root / "upper")
        self.merged = str(root / "merged")
        assert unpack(str(DATA / "base.tar"), self.lower, "/")
        options = f"lowerdir={self.lower},upperdir={self.upper},workdir={root}/work"
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, self.merged]
        subprocess.run(mount, check=True)

    def close(self) -> None:
        subprocess.run(["umount", self.merged], check=True)


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Overlay]:
    mounted = Overlay(tmp_path)
    yield mounted
    mounted.close()


def shell_command(dockerfile: str, merged: str) -> str:
    """The RUN line with its paths moved below `merged` and `setx` done by setfattr's twin."""
    command = dockerfile.split("target=/setx ", 1)[1].strip()
    command = re.sub(r"(?<=[\s\"])/t(?=[/\s]|$)", f"{merged}/t", command)
    return re.sub(r"/setx (\S+) (\S+) (\S+)", r"setx \1 \2 \3", command)


SETX = """setx() { python3 -c 'import os, sys
os.setxattr(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]))' "$@"; }; umask 022; """


def check(case: dict[str, Any], directory: Path, layer: BlobSums, written: Path) -> None:
    want = (directory / case["tar"]).read_bytes()
    assert written.read_bytes() == want
    assert layer.digest == layer.diff_id == case["diff_id"]
    assert layer.size == len(want)


@pytest.mark.parametrize("name", RUNS)
def test_run_layers(name: str, overlay: Overlay, tmp_path: Path) -> None:
    directory = DATA / name
    case = json.loads((directory / "members.json").read_bytes())
    command = SETX + shell_command(case["dockerfile"], overlay.merged)
    subprocess.run(["busybox", "sh", "-c", command], check=True, env={"PATH": os.environ["PATH"]})
    for kind, epoch in (("plain", None), ("rewritten", EPOCH)):
        layer = write_layer(
            str(tmp_path / kind),
            overlay.upper,
            overlay_lowers=[overlay.lower],
            compression="uncompressed",
            epoch=epoch,
        )
        check(case[kind], directory, layer, tmp_path / kind)


@pytest.mark.parametrize("name", COMPARABLE)
def test_comparing_whole_trees_gives_the_same(name: str, overlay: Overlay, tmp_path: Path) -> None:
    """Without an upperdir to read off, the two trees are compared: nearly always the same bytes."""
    directory = DATA / name
    case = json.loads((directory / "members.json").read_bytes())
    command = SETX + shell_command(case["dockerfile"], overlay.merged)
    subprocess.run(["busybox", "sh", "-c", command], check=True, env={"PATH": os.environ["PATH"]})
    layer = write_layer(
        str(tmp_path / "out"), overlay.merged, overlay.lower, compression="uncompressed"
    )
    check(case["plain"], directory, layer, tmp_path / "out")


def test_added_archive(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    assert unpack(str(DATA / "base.tar"), str(tmp_path / "root"), "/")
    case = json.loads((DATA / "add-tar/members.json").read_bytes())
    for kind, epoch in (("plain", None), ("rewritten", EPOCH)):
        layer = write_layer(
            str(tmp_path / kind), str(tmp_path / "root"), compression="uncompressed", epoch=epoch
        )
        check(case[kind], DATA / "add-tar", layer, tmp_path / kind)


def test_copied_files(overlay: Overlay, tmp_path: Path) -> None:
    case = json.loads((DATA / "copy/members.json").read_bytes())
    make_context(tmp_path / "context")
    copy(
        CopyRequest(
            str(tmp_path / "context"),
            "/files",
            overlay.merged,
            "/made/here/",
            owner=NumericOwner(7, 8),
            dir_copy_contents=True,
            create_dest_path=True,
        )
    )
    layer = write_layer(
        str(tmp_path / "out"),
        overlay.upper,
        overlay_lowers=[overlay.lower],
        compression="uncompressed",
        epoch=EPOCH,
    )
    check(case["rewritten"], DATA / "copy", layer, tmp_path / "out")


def make_context(root: Path) -> None:
    """As `context_files` of the recording says."""
    inner = root / "files/in"
    inner.mkdir(parents=True)
    for path, mode, text in (
        (root / "files/one", 0o640, "one\n"),
        (inner / "two", 0o755, "two\n"),
    ):
        path.write_text(text)
        path.chmod(mode)
    (root / "files/ln").symlink_to("one")
    for path in (root / "files/one", inner / "two", root / "files/ln", inner, root / "files"):
        os.utime(path, (1600000007, 1600000007), follow_symlinks=False)


CASES = [(name, False) for name in RUNS] + [(name, True) for name in COMPARABLE]


@pytest.mark.parametrize(("name", "native"), CASES)
def test_layers_come_back_out(name: str, native: bool, overlay: Overlay, tmp_path: Path) -> None:
    """Applying a recorded layer and comparing with the base writes the same layer again."""
    directory = DATA / name
    case = json.loads((directory / "members.json").read_bytes())["plain"]
    again = str(tmp_path / "again")
    if native:
        root = tmp_path / "native"
        root.mkdir()
        assert unpack(str(DATA / "base.tar"), str(root), "/")
        assert apply_layer(str(directory / "plain.tar"), "", str(root)) == case["diff_id"]
        layer = write_layer(again, str(root), overlay.lower, compression="uncompressed")
    else:
        upper = tmp_path / "applied"
        upper.mkdir()
        applied = apply_layer(
            str(directory / "plain.tar"), "", str(upper), overlay=True, parents=[overlay.lower]
        )
        assert applied == case["diff_id"]
        layer = write_layer(
            again, str(upper), overlay_lowers=[overlay.lower], compression="uncompressed"
        )
    check(case, directory, layer, Path(again))
