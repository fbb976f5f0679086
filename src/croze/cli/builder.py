"""What the commands about builders share: the files, the docker contexts, the choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from croze.builders import choose
from croze.builders.contexts import Contexts
from croze.builders.files import BuilderFiles, Transaction
from croze.builders.model import Builder
from croze.cli.flags import Flags, UsageError
from croze.files.docker_config import buildx_dir, config_dir
from croze.gotypes.duration import DurationError, parse_duration

if TYPE_CHECKING:
    from croze.cli.common import Common

STATUS_TIMEOUT = "20s"


@dataclass(frozen=True)
class Known:
    """The stored builders, under their lock, and the docker contexts."""

    stored: Transaction
    contexts: Contexts

    def builder(self, name: str) -> Builder:
        """The one of that name; with no name, the one in force. Raises `NotFound`."""
        if name:
            return choose.by_name(name, self.stored, self.contexts)
        return choose.current(self.stored, self.contexts)


@contextmanager
def known() -> Iterator[Known]:
    """Alone with the files of builders until the end."""
    with BuilderFiles(buildx_dir()).transaction() as stored:
        yield Known(stored, Contexts(config_dir()))


def named(positional: str | None, common: Common) -> str:
    """A builder's name as an argument comes before the one of `--builder`."""
    return positional or common.builder


def add_timeout(flags: Flags) -> None:
    flags.text(
        "--timeout",
        help="Override the default timeout for loading builder status",
        metavar="duration",
        default=STATUS_TIMEOUT,
    )


def timeout_s(text: str, command: str) -> float:
    """Raises `UsageError`."""
    try:
        return parse_duration(text) / 1e9
    except DurationError as error:
        raise UsageError(
            f'invalid argument "{text}" for "--timeout" flag: {error}', command
        ) from None
