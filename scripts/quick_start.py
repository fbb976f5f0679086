"""Have the `croze` of a virtual environment start without `site`, which takes a third of its start.

What is more than a question to the warm process brings `site` in (`croze.cli.thin`). Of installers
this can't be had: pip drops the options of an interpreter from the scripts that it writes.

    VENV/bin/python scripts/quick_start.py
"""

from __future__ import annotations

import sys
from pathlib import Path

LONGEST = 127
"""Bytes that every kernel takes of a first line."""


def quick(script: str, python: str, packages: str) -> str:
    """The script for that interpreter, with the directory that `croze` is in. As it is, if no first
    line can name the interpreter."""
    first = f"#!{python} -SI"
    if len(first.encode()) > LONGEST or len(first.split()) != 2:
        return script
    _, _, rest = script.partition("\n")
    before, imports, behind = rest.partition("import sys\n")
    return f"{first}\n{before}{imports}\nsys.path.insert(0, {packages!r})\n{behind}"


def main() -> None:
    import croze

    folder = Path(sys.prefix) / "bin"
    text = (folder / "croze").read_text()
    packages = Path(croze.__file__).parent.parent
    (folder / "croze").write_text(quick(text, str(folder / "python"), str(packages)))


if __name__ == "__main__":
    main()
