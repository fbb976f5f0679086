"""What evaluation asks of its caller: the environment, the clock, files that others name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field

from croze.bake.functions.surroundings import Surroundings


class World(Surroundings, Protocol):
    """The caller's environment and files."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables; none if looking them up is turned off."""
        ...

    @property
    def directory(self) -> str:
        """The working directory, absolute: what relative paths in compose files are relative to."""
        ...

    def warn(self, text: str) -> None:
        """Tell the user something that they should know of, though it stops nothing."""
        ...

    def read(self, path: str) -> bytes:
        """The bytes of a file that a definition names. OSError with its usual message if it cannot
        be read."""
        ...


class File(Struct, frozen=True):
    """A definition, by the name it was asked for with (`-` for standard input)."""

    name: str
    data: bytes


class BakeSettings(Struct, frozen=True):
    """What the command line says about evaluation.

    `builtins` are variables that files cannot define; `variables` override those that files do.
    """

    builtins: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    file_relative_paths: bool = False
