"""What is done ahead of time is nobody's: it leaves nothing, and starts nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from croze.cli.warm import preload


def test_a_rehearsal_knows_nothing_of_who_came_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git hook, for one: with what it has in its environment, `/` is a work tree."""
    git, home = tmp_path / "bin/git", tmp_path / "home"
    home.mkdir()
    git.parent.mkdir()
    git.write_text(f"#!/bin/sh\necho $* >>{tmp_path}/asked\n")
    git.chmod(0o755)
    for name, value in (
        ("PATH", str(git.parent)),
        ("HOME", str(home)),
        ("DOCKER_CONFIG", str(home)),
        ("BUILDX_CONFIG", ""),
        ("GIT_DIR", str(tmp_path)),
        ("BUILDX_GIT_CHECK_DIRTY", "1"),
        ("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", str(tmp_path / "none")),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", None)
    preload.rehearse()
    assert tempfile.tempdir is None, "who comes may have another TMPDIR"
    assert not (tmp_path / "asked").exists()
    assert not list(home.iterdir())
    with preload.nobodys_environment():
        assert "HOME" not in os.environ
    assert os.environ["HOME"] == str(home)
