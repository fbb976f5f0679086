"""Have the `croze` of a virtual environment start without `site`, which takes a third of its start.

What is more than a question to the warm process brings `site` in (`croze.cli.thin`). Of installers
this can't be had: pip drops the options of an interpreter from the scripts that it writes.

    VENV/bin/python scripts/quick_start.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import croze

LONGEST = 127
"""Bytes that every kernel takes of a first line."""


def main() -> None:
    script = Path(sys.prefix) / "bin" / "croze"
    first = f"#!{Path(sys.prefix) / 'bin' / 'python'} -SI"
    if len(first.encode()) > LONGEST or len(first.split()) != 2:
        return  # the kernel would not understand it
    _, _, rest = script.read_text().partition("\n")
    packages = Path(croze.__file__).parent.parent
    found = f"import sys\n\nsys.path.insert(0, {str(packages)!r})\n"
    script.write_text(f"{first}\n{rest.replace('import sys' + chr(10), found, 1)}")


if __name__ == "__main__":
    main()
