"""git as a program: what it says is bounded, whatever remotes have it say."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.errors import InvalidRequest, ResourceExhausted
from croze.registry.transport import Retry
from croze.sources.git import cli as git_cli
from croze.sources.git.cli import Git, GitFailed, commit_time
from croze.workers.memory import memory_bytes


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is run in git's place."""
    program = tmp_path / "git"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


async def test_answers_without_end(git: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_cli, "_ANSWER_BYTES", 1 << 20)
    git.write_text("#!/bin/sh\nyes & yes\n")
    with pytest.raises(ResourceExhausted, match="git ls-remote answers with more than 1048576"):
        await Git().run("ls-remote", "--", "git://host/app")


async def test_complaints_of_any_length(git: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_cli, "_COMPLAINT_BYTES", 1000)
    git.write_text("#!/bin/sh\necho remote: no >&2\nyes | head -c 9000000 >&2\nexit 3\n")
    with pytest.raises(GitFailed, match="remote: no\ny\n") as caught:
        await Git().run("cat-file", "-t", "x")
    assert len(caught.value.stderr) == 1000


async def test_memory_without_end(git: Path) -> None:
    """Of a remote that sends a pack of which git makes more than there is."""
    git.write_text('#!/bin/sh\nuntil [ "$(ulimit -d)" != unlimited ]; do :; done\nulimit -d\n')
    said = await Git().run("fetch", "origin")
    assert int(said) << 10 <= max(memory_bytes() // 2, git_cli._LEAST_MEMORY_BYTES)


@pytest.mark.parametrize(
    ("complaint", "times"),
    [
        ("fatal: Out of memory, malloc failed (tried to allocate 9 bytes)", 1),
        ("fatal: mmap failed: Cannot allocate memory", 1),
        ("remote: fatal: Out of memory, malloc failed (tried to allocate 9 bytes)", 4),
    ],
)
async def test_what_needs_too_much_memory_is_not_fetched_again(
    git: Path, tmp_path: Path, complaint: str, times: int
) -> None:
    """What sends it complains that nobody takes it; a server may have more another time."""
    lines = f"echo '{complaint}' >&2\necho 'error: RPC failed; curl 23' >&2\nexit 128\n"
    git.write_text(f"#!/bin/sh\necho >>{tmp_path}/asked\n{lines}")
    with pytest.raises(GitFailed, match="memory"):
        await Git(retry=Retry(first_s=0.001, limit_s=0.008)).run("fetch", "origin")
    assert (tmp_path / "asked").read_text().count("\n") == times


@pytest.mark.parametrize("said", ["", "99999999999999999999999"])
async def test_commits_of_no_time(git: Path, said: str) -> None:
    """git takes them of a remote, as they are."""
    git.write_text(f"#!/bin/sh\necho {said}\n")
    with pytest.raises(
        InvalidRequest, match=f'failed to parse commit timestamp "{said}.n": strconv'
    ):
        await commit_time(Git(), "0" * 40)
