"""A commit from a remote into its bare repository, with as little of its history as will do."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from croze.aio.threads import in_thread
from croze.errors import CrozeError
from croze.fs.remove import remove_tree
from croze.sources.git.cli import Git, GitFailed
from croze.sources.git.options import GitOptions
from croze.sources.resolutions import GitCommit


async def prepare(git: Git, options: GitOptions, *, sha256: bool) -> None:
    """Make the bare repository if it is not whole yet; drop what a killed git left. Nobody else
    works in it."""
    if await in_thread(_is_whole, git.git_dir):
        return
    kind = ["--object-format=sha256"] if sha256 else []
    await git.run("-c", "init.defaultBranch=master", "init", "--bare", *kind)
    await git.run("remote", "add", "--", "origin", options.shown)


def _is_whole(git_dir: str) -> bool:
    """Whether it was made to the end, which is the remote's name; one that was not is emptied."""
    root = Path(git_dir)
    config = root / "config"
    if not config.exists() or b'[remote "origin"]' not in config.read_bytes():
        for path in root.iterdir():
            remove_tree(path)
        return False
    for path in (*root.glob("*.lock"), *(root / "refs").rglob("*.lock")):
        path.unlink()
    return True


async def _has(git: Git, object: str) -> bool:
    try:
        await git.run("cat-file", "-e", object)
    except GitFailed:
        return False
    return True


async def fetch(git: Git, options: GitOptions, commit: GitCommit) -> None:
    """Bring the commit from the remote, by its name, since servers always give those. A bundle is
    to be made of all its history; else it is fetched without."""
    quiet = Git(git_dir=git.git_dir)
    depth = _all_history(git) if options.checkout_bundle else ["--depth=1"]
    if await _has(quiet, commit.object) and depth != [_UNSHALLOW]:
        return
    by_name = not options.fetch_by_commit and commit.ref.startswith("refs/")
    # Under a name of ours, as the remote's may come to clash with each other.
    own = f"refs/croze/{hashlib.sha256(commit.ref.encode()).hexdigest()[:24]}"
    refspec = f"+{commit.ref}:{own}" if by_name else commit.object
    try:
        await git.run("fetch", *depth, "--no-tags", "origin", refspec)
        if not await _has(quiet, commit.object):
            # The name has moved on since it was resolved.
            await git.run("fetch", *depth, "--no-tags", "origin", commit.object)
    except GitFailed as err:
        raise err.wrap(f"failed to fetch remote {options.shown}") from err
    if not await _has(quiet, commit.object):
        raise CrozeError(
            f"fetched ref {commit.ref} does not match expected commit {commit.object} and commit "
            "can not be found in the repository"
        )


_UNSHALLOW = "--unshallow"


def _all_history(git: Git) -> list[str]:
    return [_UNSHALLOW] if os.path.exists(os.path.join(git.git_dir, "shallow")) else []
