"""Docker Desktop, where it is: its pages of builds, and the socket that takes bundles.

Source: docker/buildx `util/desktop`, github.com/pkg/browser.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from croze.errors import CrozeError

_BROWSERS = ("xdg-open", "x-www-browser", "www-browser")
_SOCKET = "docker-desktop-build.sock"
_WSL_DIRECTORY = Path("/mnt/wsl/docker-desktop/shared-sockets/host-services")


def build_url(ref: str) -> str:
    """The page of a build: `builder/node/id`."""
    return f"docker-desktop://dashboard/build/{ref}"


def open_url(url: str) -> None:
    """In the user's browser, or whatever else is for such addresses. Raises `CrozeError`."""
    program = next((name for name in _BROWSERS if shutil.which(name)), None)
    if program is None:
        raise CrozeError(f'exec: "{",".join(_BROWSERS)}": executable file not found in $PATH')
    process = subprocess.run([program, url], check=False)
    if process.returncode:
        raise CrozeError(f"exit status {process.returncode}")


def socket_path() -> Path | None:
    """Where Docker Desktop takes bundles, if it is on this machine."""
    if os.environ.get("WSL_DISTRO_NAME"):
        path = _WSL_DIRECTORY / _SOCKET
    else:
        path = Path.home() / ".docker/desktop" / _SOCKET
    return path if path.exists() else None
