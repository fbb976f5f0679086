"""Finding the cases in a folder, whatever part of the corpora it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.golden import (
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


_UNKNOWN = {"bake": "cmd.json"}
"""Kinds that later versions check, and a file that each of their cases has."""


def find_cases(folder: Path) -> Iterator[Case]:
    """All cases in a folder and below it, in order of path."""
    for inner in _folders(folder):
        if (inner / _UNKNOWN["bake"]).is_file():
            continue
        for cases in _KINDS:
            try:
                yield from cases(inner)
            except (ValueError, KeyError, TypeError) as err:
                yield Case("unreadable", str(inner), partial(_complain, err))


def _complain(err: Exception) -> list[str]:
    return [f"{type(err).__name__}: {err}"]


def unknown_folders(folder: Path) -> Counter[str]:
    """How many cases there are of kinds that can't be checked yet."""
    counts: Counter[str] = Counter()
    for inner in _folders(folder):
        for kind, marker in _UNKNOWN.items():
            counts[kind] += (inner / marker).is_file()
    return +counts


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    if (folder / _UNKNOWN["bake"]).is_file():
        return  # what is below it is a user's project
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink()):
        yield from _folders(inner)
