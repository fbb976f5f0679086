"""The options of every command: taken before its name as well as after it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec import Struct, field

BUILDER = ("--builder",)
DEBUG = ("-D", "--debug")


class UsageError(Exception):
    """A command line that can't be read. The message is for the user."""

    def __init__(self, message: str, command: str) -> None:
        super().__init__(message)
        self.command = command


class Common(Struct):
    """The options that every command has."""

    debug: bool = False
    builder: str = field(default_factory=lambda: os.environ.get("BUILDX_BUILDER", ""))
    detached_pipe: int = -1
    """A descriptor of the process that stays behind for a detached build (`croze.cli.detach`):
    where it says that the build has begun."""

    def shows_all(self) -> bool:
        """Whether `inspect` tells all it knows: with --debug, or `DEBUG` in the environment, as
        tools set it that read the features of builders."""
        return self.debug or os.environ.get("DEBUG", "") != ""


def take_common(argv: Sequence[str], common: Common, command: str) -> list[str]:
    """Take the common options off the front; what is left starts with the command, or with a flag
    that is none of them. Raises `UsageError` for an option of `command` without its value."""
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest[0].partition("=")
        if name in DEBUG:
            common.debug = value != "false"
        elif name in BUILDER:
            if not equals:
                if len(rest) < 2:
                    raise UsageError("flag needs an argument: --builder", command)
                value = rest.pop(1)
            common.builder = value
        else:
            break
        rest.pop(0)
    return rest
