"""A node's files of settings as the tar that is unpacked in its container.

Source: docker/buildx `driver/docker-container/tar.go`: directories before files, sorted; root's,
0755 and 0644.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping

from croze.builders.config_files import CONFIG_DIR
from croze.errors import InvalidRequest
from croze.gotypes.quote import quote


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar of the files, to be unpacked in the parent of `CONFIG_DIR`. Raises `InvalidRequest` for
    a name that is not a plain relative path."""
    top = CONFIG_DIR.rpartition("/")[2]
    names = {name: f"{top}/{_checked(name)}" for name in sorted(files)}
    directories = sorted({parent for path in names.values() for parent in _parents(path)})
    if clash := set(directories) & set(names.values()):
        clashing = min(clash).removeprefix(f"{top}/")
        raise InvalidRequest(f"config file path {quote(clashing)} conflicts with directory")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for directory in directories:
            info = tarfile.TarInfo(directory)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, path in names.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(files[name]), 0o644
            tar.addfile(info, io.BytesIO(files[name]))
    return out.getvalue()


def _checked(name: str) -> str:
    parts = name.split("/")
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise InvalidRequest(f"invalid config file path {quote(name)}")
    return name


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
