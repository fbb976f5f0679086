"""Mount points that are made for a container go with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.runtime.mounts import Stubs


def run(rootfs: Path, stubs: Stubs) -> None:
    """What a runtime leaves there."""
    for name in ("etc/resolv.conf", "etc/hosts"):
        (rootfs / name).touch()
    (rootfs / "a/b").mkdir(parents=True, exist_ok=True)
    stubs.remove()


@pytest.mark.parametrize("recursive", [True, False])
def test_those_that_were_missing(tmp_path: Path, recursive: bool) -> None:
    """As in BuildKit, a directory is gone, too, in which there were two of them."""
    run(tmp_path, Stubs(tmp_path, ["/a/b"], recursive=recursive))
    left = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*"))
    assert left == ([] if recursive else ["a", "etc"])


def test_what_was_there_or_has_something_in_it_stays(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    stubs = Stubs(tmp_path, ["/a/b"], recursive=True)
    (tmp_path / "a/kept").touch()
    run(tmp_path, stubs)
    left = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*"))
    assert left == ["a", "a/kept", "etc"]
