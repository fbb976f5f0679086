"""Have the `croze` and `crozed` of a virtual environment start without `site`, which takes a third
of the start of `croze`.

What is more than a question to the warm process brings `site` in (`croze.cli.thin`); the daemon
needs nothing of it but where the libraries are. Of installers this can't be had: pip drops the
options of an interpreter from the scripts that it writes.

    VENV/bin/python scripts/quick_start.py
"""

from __future__ import annotations

import site
import sys
from collections.abc import Sequence
from pathlib import Path

LONGEST = 127
"""Bytes that every kernel takes of a first line."""


def quick(script: str, python: str, packages: Sequence[str]) -> str:
    """The script for that interpreter, with the directories in which packages are. As it is, if no
    first line can name the interpreter."""
    first = f"#!{python} -SI"
    if len(first.encode()) > LONGEST or len(first.split()) != 2:
        return script
    _, _, rest = script.partition("\n")
    before, imports, behind = rest.partition("import sys\n")
    return f"{first}\n{before}{imports}\nsys.path[:0] = {[*packages]}\n{behind}"


def main() -> None:
    import croze

    folder = Path(sys.prefix) / "bin"
    own = str(Path(croze.__file__).parent.parent)
    everything = [*dict.fromkeys((own, *site.getsitepackages()))]
    for name, packages in (("croze", [own]), ("crozed", everything)):
        script = folder / name
        script.write_text(quick(script.read_text(), str(folder / "python"), packages))


if __name__ == "__main__":
    main()
