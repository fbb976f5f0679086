"""What the commands about builders share: the files, the docker contexts, the choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.cli.flags import Flags, UsageError
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.quote import quote

if TYPE_CHECKING:
    from croze.cli.common import Common

STATUS_TIMEOUT = "20s"


def named(positional: str | None, common: Common) -> str:
    """A builder's name as an argument comes before the one of `--builder`."""
    return positional or common.builder


def in_force(positional: str | None, common: Common) -> str:
    """The name or address of the builder that builds would go to: an argument, `--builder`, or what
    `CROZE_HOST` or `BUILDKIT_HOST` says; empty for the one that files tell."""
    from croze.drivers.local import address_from_environment

    return named(positional, common) or address_from_environment()


def add_timeout(flags: Flags) -> None:
    flags.text(
        "--timeout",
        help="Override the default timeout for loading builder status",
        metavar="duration",
        default=STATUS_TIMEOUT,
    )


def timeout_s(text: str, command: str) -> float:
    """The seconds that a `--timeout` such as `20s` stands for. Raises `UsageError`."""
    try:
        return parse_duration(text) / 1e9
    except DurationError as error:
        raise UsageError(
            f'invalid argument {quote(text)} for "--timeout" flag: {error}', command
        ) from None
