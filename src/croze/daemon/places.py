"""Where the daemon's files are when nobody says otherwise. Source: BuildKit `util/appdefaults`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from croze.fs.userns import in_user_namespace


@dataclass(frozen=True)
class Places:
    """Defaults."""

    root: str = "/var/lib/buildkit"
    address: str = "unix:///run/buildkit/buildkitd.sock"
    config: str = "/etc/buildkit/buildkitd.toml"


def default_places(environ: Mapping[str, str]) -> Places:
    """Those of a user who is root in a user namespace alone are the user's own (XDG)."""
    if not in_user_namespace() or environ.get("USER", "") in ("", "root"):
        return Places()
    return user_places(environ)


def user_places(environ: Mapping[str, str]) -> Places:
    """The user's own, as far as the environment says where that is."""
    system, home = Places(), environ.get("HOME", "")
    runtime = _first(environ, "XDG_RUNTIME_DIR", "")
    data = _first(environ, "XDG_DATA_HOME", f"{home}/.local/share" if home else "")
    config = _first(environ, "XDG_CONFIG_HOME", f"{home}/.config" if home else "")
    return Places(
        root=str(Path(data, "buildkit")) if data else system.root,
        address=f"unix://{runtime}/buildkit/buildkitd.sock" if runtime else system.address,
        config=str(Path(config, "buildkit/buildkitd.toml")) if config else system.config,
    )


def _first(environ: Mapping[str, str], name: str, otherwise: str) -> str:
    return environ.get(name, "").split(":")[0] or otherwise
