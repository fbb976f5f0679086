"""Whose builds `croze history ls --local` lists: those of this repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from croze.cli.history.repository import remote_url
from croze.errors import InvalidRequest


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    return tmp_path


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True, capture_output=True)


def test_the_remote_of_the_branch_counts_most(repository: Path) -> None:
    git("remote", "add", "lone", "https://example.com/lone.git")
    git("remote", "add", "upstream", "https://example.com/upstream.git")
    assert remote_url() == "https://example.com/upstream.git"
    git("remote", "add", "origin", "https://me:secret@example.com/origin.git")
    assert "example.com/origin.git" in remote_url()
    assert "secret" not in remote_url()
    author = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    git(*author, "commit", "-q", "--allow-empty", "-m", "one")
    git("config", "branch.main.remote", "lone")
    git("config", "branch.main.merge", "refs/heads/main")
    assert remote_url() == "https://example.com/lone.git"


def test_without_a_remote_there_is_no_answer(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("remote", "add", "lone", "https://example.com/lone.git")
    with pytest.raises(InvalidRequest, match="no remote URL found for either origin or upstream"):
        remote_url()
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(InvalidRequest, match="git was not found in the system"):
        remote_url()
