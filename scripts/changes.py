"""The files of `changes/` become a section of `CHANGELOG.md` (Keep a Changelog 1.1.0).

    python scripts/changes.py                     what is not released yet
    python scripts/changes.py 0.2.0 2026-12-24    release it

By hand and not by towncrier, which brings a language of templates along: what is to be done is to
put lists together.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
UNRELEASED = "## Unreleased\n"
_ENTRIES = re.compile(r"^### (\w+)\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)


class BadChange(Exception):
    """A file of `changes/` that can't become an entry."""


def fragments(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Each file, its kind, and its text. Raises `BadChange`, which says what a file must be."""
    for path in sorted(folder.iterdir()):
        if path.name == "README.md":
            continue
        _, _, kind = path.name.removesuffix(".md").rpartition(".")
        if path.suffix != ".md" or kind not in KINDS:
            kinds = ", ".join(KINDS)
            raise BadChange(f"{path.name}: name it NAME.KIND.md, the kind one of {kinds}")
        text = " ".join(path.read_text(encoding="utf-8").split())
        if not text or text.startswith(("-", "*", "#")):
            raise BadChange(f"{path.name}: write a sentence, without a bullet or a heading")
        yield path, kind, text


def section(unreleased: str, folder: Path) -> str:
    """What is under *Unreleased* with all files of the folder, by kind."""
    entries = {name.lower(): text.strip("\n") for name, text in _ENTRIES.findall(unreleased)}
    for _, kind, text in fragments(folder):
        lines = textwrap.wrap(
            text, 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
        )
        entries[kind] = "\n".join([*filter(None, [entries.get(kind, "")]), *lines])
    kinds = [kind for kind in KINDS if entries.get(kind)]
    return "\n\n".join(f"### {kind.capitalize()}\n\n{entries[kind].lstrip()}" for kind in kinds)


def released(changelog: str, folder: Path, version: str, date: str) -> str:
    """The changelog with a section for this version."""
    before, heading, after = changelog.partition(UNRELEASED)
    if not heading:
        raise BadChange(f"CHANGELOG.md has no line {UNRELEASED.strip()!r}")
    unreleased, older, rest = after.partition("\n## ")
    text = section(unreleased, folder)
    return f"{before}{UNRELEASED}\n## {version} - {date}\n\n{text}\n{older}{rest}"


def main(argv: Sequence[str]) -> int:
    changelog, folder = ROOT / "CHANGELOG.md", ROOT / "changes"
    text = changelog.read_text(encoding="utf-8")
    try:
        if not argv:
            print(section(text.partition(UNRELEASED)[2].partition("\n## ")[0], folder))
            return 0
        version, date = argv
        changelog.write_text(released(text, folder, version, date), encoding="utf-8")
        for path, _, _ in fragments(folder):
            path.unlink()
    except BadChange as error:
        print(f"changes/{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
