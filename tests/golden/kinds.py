"""Finding the cases in a folder, whatever part of the corpora it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.golden import (
    bake_cases,
    cache_exports,
    cache_keys,
    dockerfile_cases,
    ignore_rules,
    layer_tars,
    provenance_cases,
    tree_digests,
    trees,
    words,
)
from tests.golden.case import Case

_KINDS: tuple[Callable[[Path], Iterator[Case]], ...] = (
    words.cases,
    ignore_rules.cases,
    trees.cases,
    dockerfile_cases.cases,
    tree_digests.cases,
    cache_keys.cases,
    cache_exports.cases,
    layer_tars.cases,
    provenance_cases.cases,
)


def find_cases(folder: Path) -> Iterator[Case]:
    """All cases in a folder and below it, in order of path."""
    for inner in _folders(folder):
        for cases in _kinds(inner):
            try:
                yield from cases(inner)
            except (ValueError, KeyError, TypeError) as err:
                yield Case("unreadable", str(inner), partial(_complain, err))


def _kinds(folder: Path) -> tuple[Callable[[Path], Iterator[Case]], ...]:
    """In a Bake project, JSON of any name is the user's."""
    return (bake_cases.cases,) if _is_bake(folder) else _KINDS


def _is_bake(folder: Path) -> bool:
    return (folder / bake_cases.COMMAND).is_file()


def _complain(err: Exception) -> list[str]:
    return [f"{type(err).__name__}: {err}"]


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    if _is_bake(folder):
        return  # what is below it is a user's project
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink()):
        yield from _folders(inner)
