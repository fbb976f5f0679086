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


def builder_files(name: str) -> dict[str, bytes]:
    """What the daemon of a builder, or of the one in force, was configured with: the files of its
    first node, whose registries are those of images, too. Raises `NotFound` for a builder that
    nobody knows."""
    none_stored = not name and not (buildx_dir() / "instances").exists()
    if none_stored or choose.is_address(name):
        return {}
    with known() as here:
        builder = here.builder(name)
    return dict(builder.members[0].files or {}) if builder.members else {}
