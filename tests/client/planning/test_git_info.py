"""What git knows of a build's directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from croze.client.planning.git_info import git_attributes

REVISION = "org.opencontainers.image.revision"


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    command = ["git", *identity, "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("BUILDX_GIT_INFO", "BUILDX_GIT_LABELS", "BUILDX_GIT_CHECK_DIRTY", "GIT_DIR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    (folder / "app").mkdir(parents=True)
    (folder / "app/Dockerfile").write_text("FROM scratch\n")
    git(folder, "init", "-q")
    return folder


def commit(work: Path) -> str:
    git(work, "add", ".")
    git(work, "commit", "-qm", "one")
    return git(work, "rev-parse", "HEAD")


def asked(work: Path) -> dict[str, str]:
    return git_attributes(str(work / "app"), "", {"context": work / "app", "else": Path("/")})


def test_a_work_tree(work: Path) -> None:
    sha = commit(work)
    git(work, "remote", "add", "upstream", "https://up.example.com/r.git")
    assert asked(work) == {
        "vcs:revision": sha,
        "vcs:source": "https://up.example.com/r.git",
        "vcs:localdir:context": "app",
    }
    git(work, "remote", "add", "origin", "https://me:secret@example.com/r.git")
    assert asked(work)["vcs:source"] == "https://xxxxx:xxxxx@example.com/r.git"
    git(work, "remote", "add", "mine", "git@mine.example.com:r.git")
    git(work, "config", "branch.main.remote", "mine")
    git(work, "config", "branch.main.merge", "refs/heads/main")
    git(work, "update-ref", "refs/remotes/mine/main", "HEAD")
    assert asked(work)["vcs:source"] == "git@mine.example.com:r.git"


def test_nothing_is_committed_yet(work: Path) -> None:
    assert asked(work) == {"vcs:localdir:context": "app"}


def test_a_detached_head_and_changes(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = commit(work)
    git(work, "checkout", "-q", sha)
    assert asked(work)["vcs:revision"] == sha
    (work / "new").write_text("")
    assert asked(work)["vcs:revision"] == sha
    monkeypatch.setenv("BUILDX_GIT_CHECK_DIRTY", "1")
    assert asked(work)["vcs:revision"] == f"{sha}-dirty"


def test_labels_and_wishes(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = commit(work)
    monkeypatch.setenv("BUILDX_GIT_LABELS", "true")
    monkeypatch.setenv("BUILDX_GIT_INFO", "false")
    assert asked(work) == {
        f"label:{REVISION}": sha,
        "label:com.docker.image.source.entrypoint": "app/Dockerfile",
    }
    monkeypatch.delenv("BUILDX_GIT_LABELS")
    assert asked(work) == {}


@pytest.mark.parametrize("context", ["", "-", "https://example.com/r.git", "missing"])
def test_no_work_tree(work: Path, context: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(work)
    monkeypatch.chdir(work)
    assert git_attributes(context, "", {}) == {}


def test_where_there_is_no_repository_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_attributes(str(tmp_path), "", {}) == {}


def test_a_machine_without_git_is_warned_of(
    work: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_attributes(str(work), "", {}) == {}
    assert "git was not found in the system" in caplog.text
