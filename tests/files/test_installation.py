"""An installation that is replaced while a process runs that was started from it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze import version
from croze.errors import Unavailable
from croze.files.installation import (
    check_installation,
    keep_installation,
    take_any_installation,
)
from croze.workers.forkserver import ForkServer


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that tells whether it is the same."""
    file = tmp_path / "version.py"
    file.write_text("VERSION = '1'\n")
    monkeypatch.setattr(version, "__file__", str(file))
    keep_installation()
    yield file
    take_any_installation()


def upgrade(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("VERSION = '2'\n")
    other.rename(file)


def found(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def test_modules_of_another_are_not_loaded(installed: Path) -> None:
    assert not found("croze.nowhere")
    upgrade(installed)
    with pytest.raises(Unavailable, match="installed anew"):
        found("croze.nowhere")
    assert found("croze.version")  # which is loaded
    assert not found("nowhere")
    take_any_installation()
    assert not found("croze.nowhere")


def test_one_that_has_gone_is_another(installed: Path) -> None:
    installed.unlink()
    with pytest.raises(Unavailable):
        check_installation()


def test_another_owner_or_mode_is_none(installed: Path) -> None:
    installed.chmod(0o640)
    os.utime(installed, ns=(0, installed.stat().st_mtime_ns))
    check_installation()


def test_the_same_file_by_another_number_is_none(installed: Path) -> None:
    """As overlayfs and FUSE have it; one that was replaced has another content or time, too."""
    status = installed.stat()
    copy = installed.with_name("copy")
    copy.write_bytes(installed.read_bytes())
    os.utime(copy, ns=(0, status.st_mtime_ns))
    copy.rename(installed)
    assert installed.stat().st_ino != status.st_ino
    for _ in range(2):
        check_installation()
    upgrade(installed)
    os.utime(installed, ns=(0, status.st_mtime_ns))
    assert installed.stat().st_size == status.st_size
    with pytest.raises(Unavailable):
        check_installation()


def test_it_is_kept_once(installed: Path) -> None:
    before = len(sys.meta_path)
    keep_installation()
    assert len(sys.meta_path) == before
    take_any_installation()
    take_any_installation()
    assert len(sys.meta_path) == before - 1
    upgrade(installed)
    check_installation()


def test_no_workers_come_of_another(installed: Path) -> None:
    upgrade(installed)
    server = ForkServer(["croze.errors"])
    with pytest.raises(Unavailable, match="restart it"):
        server.fork()
