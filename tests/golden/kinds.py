"""Finding the cases in a folder, whatever part of the corpora it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.golden import ignore_rules, trees, words
from tests.golden.case import Case

_KINDS: list[Callable[[Path], Iterator[Case]]] = [words.cases, ignore_rules.cases, trees.cases]

try:
    from tests.golden import dockerfile_cases

    _KINDS.append(dockerfile_cases.cases)
except ImportError as err:
    print("no dockerfile cases:", err)


def find_cases(folder: Path) -> Iterator[Case]:
    """All cases in a folder and below it, in order of path."""
    for inner in _folders(folder):
        for cases in _KINDS:
            yield from cases(inner)


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
