"""A commit's files from a bare repository into a directory."""

from __future__ import annotations

import os
import posixpath
import secrets
import stat
import tempfile
from pathlib import Path

from croze.aio.threads import in_thread
from croze.errors import InvalidRequest, NotFound
from croze.files.atomic import write_atomically
from croze.fs.remove import remove_tree
from croze.sources.git.cli import Git, GitFailed, commit_time, is_commit
from croze.sources.git.options import GitOptions
from croze.sources.resolutions import GitCommit


async def check_out(
    git: Git, target: str, options: GitOptions, commit: GitCommit, *, writable: bool = False
) -> None:
    """Fill the empty directory `target`; the object is in the repository. With `keep_git_dir` it
    becomes a clone of depth 1 (not for a subdirectory). With `writable` all may write to files that
    aren't executable, as before BuildKit 0.15."""
    place, object = target, commit.object
    try:
        if options.keep_git_dir and not options.subdir:
            used = await _clone(git, target, _asked(options, commit), object, options.shown)
        else:
            if options.subdir:
                # In a ref that goes whole if this is not completed.
                place = tempfile.mkdtemp(prefix="checkout", dir=target)  # noqa: TID251
            used = git.within(work_tree=place)
            await used.run("checkout", "--no-overlay", object, "--", ".")
    except GitFailed as err:
        raise err.wrap(f"failed to checkout remote {options.shown}") from err
    if not options.skip_submodules and os.path.exists(os.path.join(place, ".gitmodules")):
        await _update_submodules(used, options.shown)
    if options.subdir:
        await in_thread(_lift, place, options.subdir, target)
    if writable:
        await in_thread(_let_all_write, target)
    if options.mtime == "commit":
        await in_thread(_set_times, target, await commit_time(git, object))


async def _clone(git: Git, target: str, ref: str, object: str, shown: str) -> Git:
    clone = git.within(git_dir=os.path.join(target, ".git"), work_tree=target)
    kind = ["--object-format=sha256"] if len(object) == 64 else []
    await clone.within(work_tree=target).run("-c", "init.defaultBranch=master", "init", *kind)
    # By the file protocol: local clones take short cuts that have been abused.
    await clone.run("remote", "add", "origin", f"file://{git.git_dir}")
    name = f"refs/buildkit/{secrets.token_hex(12)}"
    await git.run("update-ref", name, object)
    annotated = (await git.run("cat-file", "-t", object)).strip() == "tag"
    names = [f"{name}:{own}" for own in _own_names(ref, annotated=annotated)] or [name]
    await clone.run("fetch", "-u", "--depth=1", "--", "origin", *names)
    await git.run("update-ref", "-d", name)
    await clone.run("checkout", "FETCH_HEAD")
    await clone.run("remote", "set-url", "origin", shown)
    await clone.run("reflog", "expire", "--all", "--expire=now")
    _remove(os.path.join(target, ".git", "FETCH_HEAD"))
    return clone


def _asked(options: GitOptions, commit: GitCommit) -> str:
    return options.ref or commit.ref.removeprefix("refs/heads/")


def _own_names(ref: str, *, annotated: bool) -> list[str]:
    """What the clone calls what was asked for as `ref`: a branch, also where it is a tag without a
    message, and a tag. (BuildKit keeps all that it has fetched as tags, and git follows those.)"""
    if is_commit(ref):
        return []
    tag = ref if ref.startswith("refs/tags/") else f"refs/tags/{ref}"
    if annotated:
        return [tag]
    return list(dict.fromkeys((_local_name(ref), tag)))


def _local_name(ref: str) -> str:
    """Where git fetches to when it is told a short name."""
    if ref.startswith("refs/"):
        return ref
    return f"refs/{ref}" if ref.startswith(("heads/", "tags/", "remotes/")) else f"refs/heads/{ref}"


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)


async def _update_submodules(git: Git, shown: str) -> None:
    try:
        await _bring_submodules(git)
    except GitFailed as err:
        raise err.wrap(f"failed to update submodules for {shown}") from err


async def _bring_submodules(git: Git) -> None:
    update = ("submodule", "update", "--init", "--recursive", "--depth=1")
    modules = os.path.join(git.git_dir, "modules")
    await in_thread(_forget_submodules, git.git_dir)
    if not os.path.exists(modules):
        await git.run(*update)
        return
    try:
        await git.run(*update)
    except GitFailed:
        # git goes by names: another commit, of anybody's, may have called another repository so.
        await git.run("submodule", "deinit", "--all", "--force")
        await in_thread(remove_tree, modules)
        await git.run(*update)


def _forget_submodules(git_dir: str) -> None:
    """git notes, under their names, whether and how submodules are updated, and asks no later
    commit: one that says "not at all" would speak for all."""
    _forget_in(os.path.join(git_dir, "config"))
    for folder, names, files in os.walk(os.path.join(git_dir, "modules")):
        if "config" in files and "HEAD" in files:
            _forget_in(os.path.join(folder, "config"))
            names[:] = {"modules"}.intersection(names)


def _forget_in(config: str) -> None:
    """git writes a section's name, and each of its values, on a line of its own (git-config)."""
    lines = Path(config).read_bytes().splitlines(keepends=True)
    others: list[bytes] = []
    is_kept = True
    for line in lines:
        if line.startswith(b"["):
            is_kept = not line.startswith(b"[submodule ")
        if is_kept:
            others.append(line)
    if others != lines:
        write_atomically(Path(config), b"".join(others))


def _lift(place: str, subdir: str, target: str) -> None:
    """What is in the subdirectory becomes all there is."""
    path, walked = place, ""
    for part in posixpath.normpath(subdir).split("/"):
        path, walked = os.path.join(path, part), posixpath.join(walked, part)
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError as err:
            raise NotFound(
                f'invalid subdir {subdir}: failed to lstat "{walked}":'
                f" statat {walked}: no such file or directory"
            ) from err
        if not stat.S_ISDIR(mode):
            raise InvalidRequest(
                f'invalid subdir {subdir}: git subpath "{subdir}" contains non-directory "{walked}"'
            )
    for name in os.listdir(path):
        os.rename(os.path.join(path, name), os.path.join(target, name))
    remove_tree(place)


def _let_all_write(root: str) -> None:
    for folder, _, files in os.walk(root):
        for path in (os.path.join(folder, name) for name in files):
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode) and not mode & 0o111:
                os.chmod(path, stat.S_IMODE(mode) | 0o222)


def _set_times(root: str, seconds: int) -> None:
    for folder, names, files in os.walk(root, topdown=False):
        for name in (*names, *files):
            os.utime(os.path.join(folder, name), (seconds, seconds), follow_symlinks=False)
    os.utime(root, (seconds, seconds))
