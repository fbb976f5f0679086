"""A daemon's file of settings as a node keeps it, with the certificates that it names.

The node's daemon runs elsewhere: paths of this machine's files become those that they are copied
to. Source: docker/buildx `util/confutil/container.go`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from croze.errors import InvalidRequest, os_reason
from croze.files.settings import read_settings
from croze.gotypes import toml
from croze.gotypes.quote import quote

CONFIG_DIR = "/etc/buildkit"
CONFIG_FILE = "buildkitd.toml"
DEFAULT_FILE = "buildkitd.default.toml"
"""In buildx's directory: for nodes that are given none."""
LIMIT_BYTES = 1 << 20
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9.-]+")


def read_config(path: str) -> dict[str, object]:
    """The settings. Raises `InvalidRequest`."""
    try:
        data = read_settings(Path(path))
    except FileNotFoundError:
        raise InvalidRequest(
            f"buildkit configuration file not found: {path}: stat {path}: no such file or directory"
        ) from None
    except OSError as error:
        raise InvalidRequest(
            f"failed to read buildkit configuration file: {path}: {error.strerror}"
        ) from None
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"failed to load buildkit configuration file: {path}: failed to parse config: {error}"
        ) from None


def load_config_files(path: str) -> dict[str, bytes]:
    """The files to copy to the node's `CONFIG_DIR`, by relative path. Raises `InvalidRequest`."""
    config = read_config(path)
    files: dict[str, bytes] = {}
    registries = config.get("registry")
    if registries is not None:
        config["registry"] = {
            name: _registry(path, name, settings, files)
            for name, settings in _table(path, "registry", registries).items()
        }
    files[CONFIG_FILE] = toml.marshal(config).encode()
    return files


def _registry(path: str, name: str, settings: object, files: dict[str, bytes]) -> object:
    key = f"registry.{quote(name)}"
    registry = dict(_table(path, key, settings))
    folder = f"certs/{_NOT_IN_A_NAME.sub('_', name)}"

    def copied(what: str, source: object) -> str:
        if not isinstance(source, str):
            raise InvalidRequest(f"{path}: {key}: {what}: a path was expected, not {source!r}")
        file = f"{folder}/{os.path.basename(source)}"
        files[file] = _certificate(what, source)
        return f"{CONFIG_DIR}/{file}"

    if authorities := _list(path, f"{key}.ca", registry.get("ca", [])):
        registry["ca"] = [copied("CA", source) for source in authorities]
    if pairs := _list(path, f"{key}.keypair", registry.get("keypair", [])):
        registry["keypair"] = [
            {
                part: copied(part, source)
                for part, source in _table(path, f"{key}.keypair", pair).items()
                if part in ("key", "cert") and source
            }
            for pair in pairs
        ]
    return registry


def _certificate(what: str, source: str) -> bytes:
    try:
        data = read_settings(Path(source))
    except OSError as error:
        raise InvalidRequest(
            f"failed to read {what} file: {source}: open {source}: {os_reason(error)}"
        ) from None
    if len(data) > LIMIT_BYTES:
        raise InvalidRequest(f"{what} file {source} has more than {LIMIT_BYTES} bytes")
    return data


def _table(path: str, key: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{path}: {key}: a table was expected")
    return value


def _list(path: str, key: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise InvalidRequest(f"{path}: {key}: a list was expected")
    return value
