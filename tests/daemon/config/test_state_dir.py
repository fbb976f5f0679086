"""Which directories a daemon takes as its root."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from croze.daemon.config.default_paths import own_state_dir
from croze.errors import InvalidRequest


@pytest.mark.parametrize("names", [(), ("lost+found",), ("lock", "blobs"), ("buildkitd.lock", "x")])
def test_roots(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Nothing is on a disk but what mkfs makes, or there is a daemon's state. It is closed to
    others."""
    tmp_path.chmod(0o755)
    for name in names:
        (tmp_path / name).mkdir()
    own_state_dir(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.parametrize("names", [("etc",), ("lost+found", "home")])
def test_directories_of_others(tmp_path: Path, names: tuple[str, ...]) -> None:
    tmp_path.chmod(0o755)
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(InvalidRequest, match="holds files that are not a daemon's state"):
        own_state_dir(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
