"""Settings that a user, or another of their tools, has left in a file: read without being held up.

What goes by the name may be anything. A named pipe waits for a writer for ever, and a device has no
end, so neither is read as if it were a file.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

LIMIT_BYTES = 16 << 20


def read_settings(path: Path) -> bytes:
    """All that is in the file. Raises `OSError` with the name, also for a pipe, a socket or a
    directory, and for more than `LIMIT_BYTES`."""
    with open_file(path) as file:
        data = file.read(LIMIT_BYTES + 1)
    if len(data) > LIMIT_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), os.fspath(path))
    return data


def open_file(path: Path) -> BufferedReader:
    """A file to read from, without waiting for anybody. Raises `OSError` with the name, also for a
    pipe, a socket or a directory."""
    file = open(path, "rb", opener=_at_once)  # noqa: SIM115 - closed below
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISREG(mode) or _is_null(file.fileno(), mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def parse_settings(data: bytes) -> object:
    """JSON. Nothing at all is an object without members, as the Docker CLI has it. Raises
    `ValueError`."""
    return parse_json(data or b"{}")


def parse_json(data: bytes | str) -> Any:
    """JSON that somebody else wrote, as plain values. Raises `ValueError`, for nesting without end
    and what is not UTF-8, too. What has a type is read by `gotypes.gojson.unmarshal`, which takes
    bytes that are not UTF-8 as Go does."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("exceeded max depth") from None


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _is_null(fd: int, mode: int) -> bool:
    """Whether it is /dev/null, which people put in the place of settings that they don't want."""
    return stat.S_ISCHR(mode) and os.fstat(fd).st_rdev == os.makedev(1, 3)
