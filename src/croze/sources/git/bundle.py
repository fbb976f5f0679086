"""Repositories as single files (`git bundle`): read in place of a remote, written as a checkout.

Source of the rules: BuildKit `source/git/bundle.go`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from croze.aio.threads import in_thread
from croze.errors import CrozeError
from croze.fs.temporary import temporary_directory
from croze.sources.git.cli import Git, GitFailed, is_commit
from croze.sources.git.options import GitOptions

_FILE = "bundle"
_FALLBACK = "refs/heads/main"


async def is_sha256(git: Git, bundle: Path) -> bool:
    """Whether the bundle's repository names objects by SHA-256 instead of SHA-1."""
    trouble = f"failed to inspect git bundle {bundle}"
    try:
        listing = await git.run("ls-remote", "--", str(bundle))
    except GitFailed as err:
        raise err.wrap(trouble) from err
    object = listing.partition("\t")[0]
    if not object:
        raise CrozeError(f"{trouble}: no refs found")
    if not is_commit(object):
        raise CrozeError(f'{trouble}: invalid object ID "{object}"')
    return len(object) == 64


def _namespace(options: GitOptions) -> str:
    """Where the bundle's names are kept in the remote's repository, out of each other's way."""
    assert options.bundle is not None
    return f"refs/croze/bundle/{options.bundle.ref.digest.partition(':')[2][:24]}"


async def import_bundle(git: Git, options: GitOptions, bundle: Path) -> None:
    """Bring all that the bundle has into the repository. Raises unless the expected commit is among
    it."""
    assert options.bundle is not None
    names = f"+refs/*:{_namespace(options)}/*"
    try:
        await git.run("fetch", "--no-tags", "--", str(bundle), names)
    except GitFailed as err:
        raise err.wrap(f"failed to import git bundle {options.bundle.ref}") from err
    try:
        await git.run("cat-file", "-e", f"{options.checksum}^{{commit}}")
    except GitFailed:
        raise CrozeError(
            f"commit {options.checksum} not found in bundle {options.bundle.ref}"
        ) from None


async def listing(git: Git, options: GitOptions) -> str:
    """What `git ls-remote` would say of an imported bundle's repository."""
    prefix = _namespace(options)
    form = "%(objectname)\t%(refname)%00%(*objectname)"
    lines = []
    for line in (await git.run("for-each-ref", f"--format={form}", prefix)).splitlines():
        line, _, peeled = line.partition("\0")
        line = line.replace(f"{prefix}/", "refs/", 1)
        lines.append(line)
        if peeled:
            lines.append(f"{peeled}\t{line.partition(chr(9))[2]}^{{}}")
    return "\n".join(lines)


async def write_bundle(git: Git, options: GitOptions, object: str, target: Path) -> None:
    """Put a bundle of the commit and its history into the directory `target`."""
    name = _bundled_name(options.ref)
    with temporary_directory("bundle") as folder:
        # A repository of its own: git bundles only what has a name, and ours has other names.
        own = Git(git_dir=os.path.join(folder, "repo.git"), log=git.log)
        os.mkdir(own.git_dir)
        kind = ["--object-format=sha256"] if len(object) == 64 else []
        await own.run("-c", "init.defaultBranch=master", "init", "--bare", *kind)
        try:
            await own.run("fetch", f"file://{git.git_dir}", "--", object)
            await own.run("update-ref", name, object)
            bundle = os.path.join(folder, "out.bundle")
            await own.run("bundle", "create", bundle, name)
        except GitFailed as err:
            raise err.wrap(f"failed to create git bundle for {object}") from err
        await in_thread(shutil.copyfile, bundle, target / _FILE)


def _bundled_name(ref: str) -> str:
    """What the commit is called in the bundle."""
    if not ref or is_commit(ref):
        return _FALLBACK
    if ref.startswith("refs/tags/"):
        return ref
    return f"refs/heads/{ref.removeprefix('refs/').removeprefix('heads/')}"
