"""The git repository that the working directory is in."""

from __future__ import annotations

import os
import shutil

from croze.client.planning import git_info
from croze.errors import InvalidRequest


def remote_url() -> str:
    """The address that builds from here are recorded with. Raises `InvalidRequest`."""
    if shutil.which("git") is None:
        raise InvalidRequest("git was not found in the system")
    if url := git_info.remote_url(os.getcwd()):
        return url
    raise InvalidRequest(
        "could not get remote URL for local filter: "
        "no remote URL found for either origin or upstream"
    )
