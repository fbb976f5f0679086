"""Where the Docker CLI and buildx keep a user's files."""

from __future__ import annotations

import os
from pathlib import Path


def config_dir() -> Path:
    """The Docker CLI's: `DOCKER_CONFIG`, else `~/.docker`."""
    if chosen := os.environ.get("DOCKER_CONFIG"):
        return Path(chosen)
    home = os.path.expanduser("~")
    # A user without HOME whom /etc/passwd doesn't know is at home nowhere.
    return Path("/" if home == "~" else home, ".docker")


def buildx_dir() -> Path:
    """buildx's: `BUILDX_CONFIG`, else below the Docker CLI's."""
    return Path(os.environ.get("BUILDX_CONFIG") or config_dir() / "buildx")
