"""What Bake's evaluation asks of this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from croze.gotypes.booleans import parse_bool

log = logging.getLogger(__name__)

_NO_LOOKUP = "BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP"


class LocalWorld:
    """This machine as Bake's evaluation asks of it: environment, clock and files of the user who
    runs the command."""

    def __init__(self) -> None:
        hidden = parse_bool(os.environ.get(_NO_LOOKUP, "")) is True
        self._environment: Mapping[str, str] = {} if hidden else dict(os.environ)

    @property
    def environment(self) -> Mapping[str, str]:
        return self._environment

    @property
    def directory(self) -> str:
        return os.getcwd()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def home(self) -> str:
        return os.environ.get("HOME") or str(Path.home())

    def random_bytes(self, size: int) -> bytes:
        return os.urandom(size)

    def warn(self, text: str) -> None:
        log.warning("%s", text)

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()


def existing_path(path: str) -> str:
    """The path with links followed as far as it exists; what does not exist is left off."""
    head = os.path.abspath(path)
    while not os.path.lexists(head):
        head = os.path.dirname(head)
    return os.path.realpath(head)
