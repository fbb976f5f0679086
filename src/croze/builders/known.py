"""The builders there are: those that are stored and those that docker contexts stand for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from croze.builders import choose
from croze.builders.contexts import Contexts
from croze.builders.files import BuilderFiles, Transaction
from croze.builders.model import BuilderInstance
from croze.files.docker_config import buildx_dir, config_dir


class StoredBuilders(Struct, frozen=True):
    """The stored builders, under their lock, and the docker contexts."""

    stored: Transaction
    contexts: Contexts

    def builder(self, name: str) -> BuilderInstance:
        """The one of that name; with no name, the one in force. Raises `NotFound`."""
        if name:
            return choose.by_name(name, self.stored, self.contexts)
        return choose.current(self.stored, self.contexts)


@contextmanager
def known() -> Iterator[StoredBuilders]:
    """The builders, while inside: nobody else changes their files until the end."""
    with BuilderFiles(buildx_dir()).transaction() as stored:
        yield StoredBuilders(stored, Contexts(config_dir()))
