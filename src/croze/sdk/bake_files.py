"""Which files are read for a definition."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from croze.bake.errors import BakeError
from croze.bake.world import File
from croze.errors import os_reason
from croze.gotypes.booleans import checked_bool
from croze.gotypes.quote import quote

if TYPE_CHECKING:
    from croze.api import control_pb2

_SEPARATOR = "BUILDX_BAKE_PATH_SEPARATOR"
_FILES = "BUILDX_BAKE_FILE"
_RELATIVE = "BUILDX_BAKE_FILE_RELATIVE_PATHS"
_MOST_BYTES = 64 << 20
"""Devices have no end, and what is larger is no definition."""
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
    text = os.environ.get(_FILES)
    if text is None:
        return []
    separator = os.environ.get(_SEPARATOR) or os.pathsep
    names = [each.strip() for each in text.split(separator)]
    for name in names:
        if name and name != "-" and not os.path.exists(name):
            raise BakeError(f"stat {name}: no such file or directory")
    return [each for each in names if each]


def file_relative_paths() -> bool:
    """Whether paths are relative to the files that they are in."""
    text = os.environ.get(_RELATIVE, "").strip()
    if not text:
        return False
    return checked_bool(text, f"failed to parse {_RELATIVE} value {quote(text)}", BakeError)


def read_local_files(
    names: Sequence[str],
    show: Callable[[control_pb2.StatusResponse], None],
    *,
    from_environment: bool = False,
) -> list[File]:
    """The files of these names, or those of the usual names that there are. What cannot be read is
    told when the step is over: it is no failure of a build."""
    from croze.progress.own import own_step

    where = f" from {_FILES} env" if from_environment else ""
    problem: BakeError | None = None
    files: list[File] = []
    with own_step(f"[internal] load local bake definitions{where}", show) as step:
        for name in names or filter(_is_there, DEFAULT_NAMES):
            shown = "from stdin" if name == "-" else name
            try:
                data = _read(name)
            except BakeError as error:
                step.counted(f"reading {shown}", 0)
                problem = error
                break
            if not data and name != "-":
                continue  # as if it were not there
            step.counted(f"reading {shown}", len(data), total_known=name != "-")
            files.append(File(name, data))
    if problem is not None:
        raise problem
    return files


def _is_there(name: str) -> bool:
    """Whatever else is wrong with it is told when it is read."""
    try:
        os.stat(name)
    except FileNotFoundError:
        return False
    except OSError:
        pass
    return True


def _read(name: str) -> bytes:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with open(name, "rb") as file:
                data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        reason = os_reason(error)
        verb = "read" if isinstance(error, IsADirectoryError) else "open"
        raise BakeError(f"{verb} {name}: {reason}") from None
    if len(data) > _MOST_BYTES:
        raise BakeError(f"read {name}: a definition may have up to 64 MiB")
    return data
