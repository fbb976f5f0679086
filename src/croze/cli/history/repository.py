"""The git repository that the working directory is in."""

from __future__ import annotations

import subprocess

from croze.errors import InvalidRequest


def remote_url() -> str:
    """The URL of the branch's upstream, of `origin`, or of the only remote. Raises
    `InvalidRequest`."""
    upstream = _git("config", "--get", f"branch.{_git('symbolic-ref', '--short', 'HEAD')}.remote")
    for name in (upstream, "origin", *_git("remote").split()):
        if name and (url := _git("remote", "get-url", name)):
            return url
    raise InvalidRequest("could not find git repository for local filter")


def _git(*words: str) -> str:
    """What git says; nothing when it fails."""
    try:
        process = subprocess.run(("git", *words), capture_output=True, check=False)
    except OSError:
        raise InvalidRequest("git was not found in the system") from None
    return (
        process.stdout.decode(errors="surrogateescape").strip() if process.returncode == 0 else ""
    )
