"""What can be set does something: flags of commands and keys of the daemon's file are looked at."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from croze.cli.commands import COMMANDS, load
from croze.cli.complete import flags_of
from croze.daemon.config.toml import Config
from tests.support.syntax import nodes

pytestmark = pytest.mark.sources

SRC = Path(__file__).resolve().parent.parent / "src" / "croze"
BY_NAME = {"GhaPolicy"}
"""Their fields are gone through, all of them, by what they are called."""


def looked_at(folder: Path) -> set[str]:
    """Attributes that are read somewhere below the folder, and texts, by which some are."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in nodes(path.read_text("utf-8")):
            match node:
                case ast.Attribute(attr=name, ctx=ast.Load()) | ast.Constant(value=str(name)):
                    names.add(name)
    return names


def shown_flags() -> Iterator[tuple[str, str]]:
    """Each command's flags that its help shows, by the names that the code knows."""
    for name in COMMANDS:
        inner: dict[str, object] | None = getattr(load(name), "COMMANDS", None)
        for path in [(name, each) for each in sorted(inner)] if inner else [(name,)]:
            flags = flags_of(path)
            assert flags is not None
            for action in flags._actions:
                if action.help != argparse.SUPPRESS and action.dest != "help":
                    yield " ".join(path), action.dest


def settings(kind: object) -> Iterator[tuple[str, str]]:
    """The fields of a section and of those below it."""
    for part in getattr(kind, "__args__", ()):
        yield from settings(part)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in () if kind.__name__ in BY_NAME else msgspec.structs.fields(kind):
            yield kind.__name__, field.name
            yield from settings(field.type)


def test_every_flag_is_looked_at() -> None:
    names, flags = looked_at(SRC / "cli"), set(shown_flags())
    assert len(flags) > 100
    assert not {flag for flag in flags if flag[1] not in names}


def test_every_key_of_the_daemons_file_is_looked_at() -> None:
    names, keys = looked_at(SRC), set(settings(Config))
    assert {("OciWorker", "cni_pool_size"), ("GcPolicy", "keep_duration")} <= keys
    assert not {key for key in keys if key[1] not in names}
