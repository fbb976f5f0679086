"""Where the daemon's files are when nobody says otherwise. Source: BuildKit `util/appdefaults`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.files.own import OTHERS, own_dir
from croze.fs.userns import in_user_namespace

_LOCKS = frozenset({"lock", "buildkitd.lock"})
"""What tells a state directory: ours, and BuildKit's, which may be in the same place."""
_EMPTY = frozenset({"lost+found"})
"""What is on a disk that has nothing on it (mke2fs(8))."""


class DefaultPaths(Struct, frozen=True):
    """The places of a daemon's files where nobody says otherwise."""

    root: str = "/var/lib/buildkit"
    address: str = "unix:///run/buildkit/buildkitd.sock"
    config: str = "/etc/buildkit/buildkitd.toml"


def default_places(environ: Mapping[str, str]) -> DefaultPaths:
    """The places of this daemon; those of a user who is root in a user namespace alone are the
    user's own (XDG)."""
    if not in_user_namespace() or environ.get("USER", "") in ("", "root"):
        return DefaultPaths()
    return user_places(environ)


def user_places(environ: Mapping[str, str]) -> DefaultPaths:
    """The user's own places, as far as the environment says where those are."""
    system, home = DefaultPaths(), environ.get("HOME", "")
    runtime = _first(environ, "XDG_RUNTIME_DIR", "")
    data = _first(environ, "XDG_DATA_HOME", f"{home}/.local/share" if home else "")
    config = _first(environ, "XDG_CONFIG_HOME", f"{home}/.config" if home else "")
    return DefaultPaths(
        root=str(Path(data, "buildkit")) if data else system.root,
        address=f"unix://{runtime}/buildkit/buildkitd.sock" if runtime else system.address,
        config=str(Path(config, "buildkit/buildkitd.toml")) if config else system.config,
    )


def own_state_dir(root: Path) -> None:
    """Make the state directory, or close it to other users: it holds everybody's layers, logs and
    build arguments. Raises `InvalidRequest` for a directory with something else in it, which others
    may need, and `PermissionDenied` for one that isn't ours."""
    place = os.path.realpath(root)
    if os.path.isdir(place) and os.stat(place).st_mode & OTHERS:
        names = set(os.listdir(place)) - _EMPTY
        if names and not names & _LOCKS:
            raise InvalidRequest(
                f"{root} holds files that are not a daemon's state: name an empty directory as root"
            )
    own_dir(place)


def _first(environ: Mapping[str, str], name: str, otherwise: str) -> str:
    return environ.get(name, "").split(":")[0] or otherwise
