"""`croze install` and `uninstall`: whether `docker builder` (and `docker build`) mean `buildx`.

Source: docker/buildx `commands/install.go`: the alias `builder` in the Docker CLI's `config.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.flags import Flags
from croze.errors import InvalidRequest
from croze.files.atomic import write_atomically
from croze.files.docker_config import config_dir
from croze.files.settings import parse_settings, read_settings

if TYPE_CHECKING:
    from croze.cli.common import Common


INSTEAD = "use 'docker buildx' directly, without relying on the 'docker builder' alias"


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags("croze install", "Install buildx as a 'docker builder' alias", "")
    flags.deprecate(INSTEAD)
    flags.read(argv, common)
    set_alias("buildx")
    return 0


def set_alias(plugin: str) -> None:
    """Set or remove the alias. All else in the file stays. Raises `InvalidRequest` for a file that
    holds no settings."""
    path = config_dir() / "config.json"
    try:
        settings = parse_settings(read_settings(path))
    except FileNotFoundError:
        settings = {}
    except ValueError as error:
        raise InvalidRequest(f"could not set up alias: {path}: {error}") from None
    if not isinstance(settings, dict):
        raise InvalidRequest(f"could not set up alias: {path}: line 1: no object")
    aliases = settings.get("aliases")
    aliases_left = dict(aliases) if isinstance(aliases, dict) else {}
    aliases_left.pop("builder", None)
    if plugin:
        aliases_left["builder"] = plugin
    settings.pop("aliases", None)
    if aliases_left:
        settings["aliases"] = aliases_left
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    write_atomically(path, json.dumps(settings, indent="\t").encode(), mode)
