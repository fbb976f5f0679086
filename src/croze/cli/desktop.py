"""Docker Desktop, where it is: its pages of builds, and the socket that takes bundles.

Source: docker/buildx `util/desktop`, github.com/pkg/browser.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from croze.errors import CrozeError

_BROWSERS = ("xdg-open", "x-www-browser", "www-browser")
_SOCKET = "docker-desktop-build.sock"
_WSL_DIRECTORY = Path("/mnt/wsl/docker-desktop/shared-sockets/host-services")


def build_url(ref: str) -> str:
    """The page of a build: `builder/node/id`."""
    return f"docker-desktop://dashboard/build/{ref}"


def takes_builds() -> bool:
    """Whether its pages of builds are in use on this machine."""
    return (Path.home() / ".docker/desktop-build/.lastaccess").exists()


def details_text(records: Mapping[str, str], *, is_terminal: bool) -> str:
    """Where each target's build can be seen, by how the history knows it; empty if none can, or
    Docker Desktop is not in use. Links can be clicked on a terminal."""
    urls = {name: build_url(ref) for name, ref in records.items() if "/" in ref}
    if not urls or not takes_builds():
        return ""
    text = "\nView build details: "
    for name, url in urls.items():
        text += f"\n  {name}: " if len(urls) > 1 else ""
        text += f"\033]8;;{url}\033\\{url}\033]8;;\033\\" if is_terminal else url
    return f"{text}\n"


def print_details(records: Mapping[str, str]) -> None:
    """Print to standard error where builds can be seen, if they can."""
    sys.stderr.write(details_text(records, is_terminal=sys.stderr.isatty()))


def open_url(url: str) -> None:
    """Open an address in the user's browser, or whatever else is for such addresses. Raises
    `CrozeError`."""
    import shutil  # a build needs neither
    import subprocess

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
