"""Mount points that are made for a container go with it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from croze.runtime.mounts import Stubs, make_dirs


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
    names = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*"))
    assert names == (["dev"] if recursive else ["a", "dev", "etc"])


def test_what_was_there_or_has_something_in_it_stays(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    stubs = Stubs(tmp_path, ["/a/b"], recursive=True)
    (tmp_path / "a/kept").touch()
    run(tmp_path, stubs)
    names = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*"))
    assert names == ["a", "a/kept", "dev", "etc"]


def test_who_puts_a_link_in_the_place_of_what_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that runs sees its files change."""
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    (tmp_path / "root").mkdir()
    mkdir = os.mkdir

    def swapped(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        os.rename(name, f"{name}.away", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        os.symlink(secret, name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", swapped)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        make_dirs(tmp_path / "root", "/a")
    assert secret.stat().st_mode & 0o777 == 0o700


def test_devices_have_a_directory_of_the_usual_mode(tmp_path: Path) -> None:
    """It stays in the layer, whichever runtime it is."""
    umask = os.umask(0o077)
    try:
        run(tmp_path, Stubs(tmp_path, [], recursive=True))
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "dev").stat().st_mode) == 0o755
