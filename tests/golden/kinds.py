"""Finding the cases in a folder, whatever part of the corpora it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.golden import dockerfile_cases, ignore_rules, trees, words
from tests.golden.case import Case

_KINDS: tuple[Callable[[Path], Iterator[Case]], ...] = (
    words.cases,
    ignore_rules.cases,
    trees.cases,
    dockerfile_cases.cases,
)


def find_cases(folder: Path) -> Iterator[Case]:
    """All cases in a folder and below it, in order of path."""
    for inner in _folders(folder):
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
        if (inner / "cmd.json").is_file() and (inner / "want.json").is_file():
            counts["bake"] += 1
    return counts


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink()):
        yield from _folders(inner)
