"""Which files `croze bake` reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from croze.bake.errors import BakeError
from croze.bake.world import File
from croze.gotypes.booleans import parse_bool
from croze.quote import quote

_SEPARATOR = "BUILDX_BAKE_PATH_SEPARATOR"
_FILES = "BUILDX_BAKE_FILE"
_RELATIVE = "BUILDX_BAKE_FILE_RELATIVE_PATHS"
DEFAULT_NAMES = (
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
)


def names_from_environment() -> list[str]:
    """The files that the environment names in place of the usual ones."""
    given = os.environ.get(_FILES)
    if given is None:
        return []
    separator = os.environ.get(_SEPARATOR) or os.pathsep
    names = [each.strip() for each in given.split(separator)]
    for name in names:
        if name and name != "-" and not os.path.exists(name):
            raise BakeError(f"stat {name}: no such file or directory")
    return [each for each in names if each]


def file_relative_paths() -> bool:
    """Whether paths are relative to the files that they are in."""
    given = os.environ.get(_RELATIVE, "").strip()
    if not given:
        return False
    found = parse_bool(given)
    if found is None:
        why = f"strconv.ParseBool: parsing {quote(given)}: invalid syntax"
        raise BakeError(f"failed to parse {_RELATIVE} value {quote(given)}: {why}")
    return found


def read_local_files(names: Sequence[str]) -> list[File]:
    """The files of these names, or those of the usual names that there are."""
    if names:
        return [File(name, _read(name)) for name in names]
    return [File(name, _read(name)) for name in DEFAULT_NAMES if os.path.lexists(name)]


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        verb = "read" if isinstance(error, IsADirectoryError) else "open"
        raise BakeError(f"{verb} {name}: {reason}") from None
