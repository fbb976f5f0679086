"""What git knows of the directory that a build is made from: for provenance, history and labels.

Source: buildx `build/git.go`, `util/gitutil`.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from croze.files.redact import redact
from croze.gotypes.booleans import parse_bool

log = logging.getLogger(__name__)

_REVISION = "label:org.opencontainers.image.revision"
_SOURCE = "label:org.opencontainers.image.source"
_DOCKERFILE = "label:com.docker.image.source.entrypoint"
_TIMEOUT_S = 30


class _Work(Struct, frozen=True):
    """A work tree. `revision` empty: nothing was committed yet."""

    root: str
    revision: str = ""
    branch: str = ""


def git_attributes(context: str, dockerfile: str, local_dirs: Mapping[str, Path]) -> dict[str, str]:
    """Frontend attributes that tell of the git work tree; none outside of one, or when nobody wants
    them. What can't be found out is a warning."""
    labels = os.environ.get("BUILDX_GIT_LABELS", "")
    with_labels = labels == "full" or parse_bool(labels) is True
    with_info = parse_bool(os.environ.get("BUILDX_GIT_INFO", "")) is not False
    if not context or not (with_labels or with_info):
        return {}
    folder = os.path.abspath(context)
    if not _may_be_inside(folder):
        return {}
    work = _work(folder)
    if work is None:
        return {}
    attrs: dict[str, str] = {}
    source = _remote_url(folder, work.branch)
    revision = work.revision
    if revision and parse_bool(os.environ.get("BUILDX_GIT_CHECK_DIRTY", "")):
        revision += "-dirty" if _dirty(folder) else ""
    if with_info:
        attrs |= {"vcs:revision": revision, "vcs:source": source}
        for name, lent in local_dirs.items():
            attrs[f"vcs:localdir:{name}"] = _below(work.root, os.path.realpath(lent))
    if with_labels:
        path = os.path.abspath(dockerfile or os.path.join(folder, "Dockerfile"))
        attrs |= {_REVISION: revision, _SOURCE: source, _DOCKERFILE: _below(work.root, path)}
    return {key: value for key, value in attrs.items() if value}


def _may_be_inside(folder: str) -> bool:
    """No process is started where there is no repository."""
    if "GIT_DIR" in os.environ:
        return True
    path = Path(folder)
    return any((each / ".git").exists() for each in (path, *path.parents))


def _work(folder: str) -> _Work | None:
    trouble = "current commit information was not captured by the build: %s"
    import shutil

    if shutil.which("git") is None:
        if os.path.isdir(os.path.join(folder, ".git")):
            log.warning(trouble, "git was not found in the system")
        return None
    names = ("--is-inside-work-tree", "--show-toplevel", "HEAD", "--symbolic-full-name", "HEAD")
    lines = _git(folder, "rev-parse", *names).splitlines()
    if not lines or lines[0] != "true":
        if os.path.isdir(os.path.join(folder, ".git")):
            what = "failed to read current commit information with git rev-parse"
            log.warning(trouble, f"{what} --is-inside-work-tree")
        return None
    if len(lines) < 4:
        return _Work(lines[1])
    return _Work(lines[1], lines[2], lines[3] if lines[3] != "HEAD" else "")


def remote_url(folder: str) -> str:
    """The address of the remote of the work tree that a folder is in, as builds from there are
    recorded with it; empty if there is none."""
    return _remote_url(folder, _git(folder, "symbolic-ref", "-q", "HEAD").strip())


def _remote_url(folder: str, branch: str) -> str:
    """The address of the branch's own remote, or else the usual ones', without credentials."""
    remotes = ["origin", "upstream"]
    if branch:
        format = "--format=%(upstream:remotename)"
        remotes.insert(0, _git(folder, "for-each-ref", format, branch).strip())
    for remote in filter(None, dict.fromkeys(remotes)):
        url = _git(folder, "remote", "get-url", remote).partition("\n")[0]
        if url:
            return redact(url)
    return ""


def _dirty(folder: str) -> bool:
    return bool(_git(folder, "status", "--porcelain", "--ignored").strip())


def _below(root: str, path: str) -> str:
    """The path as seen from `root`; empty if it is not below."""
    relative = os.path.relpath(path, root)
    return "" if relative.startswith("..") else relative


def _git(folder: str, *words: str) -> str:
    """What git prints, also if it fails in the end."""
    command = ["git", "-c", "log.showSignature=false", "-C", folder, *words]
    try:
        process = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return os.fsdecode(process.stdout)
