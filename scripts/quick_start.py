"""Have the `croze` and `crozed` of a virtual environment start quickly. Of installers this can't be
had: pip drops the options of an interpreter from the scripts that it writes.

- `croze` begins with a script for bash (quick_start.bash), which asks the warm process without an
  interpreter of Python: that takes longer to start than many a build.
- Python starts without `site`, which takes a third of the start. What is more than a question to
  the warm process brings it in (`croze.cli.thin`); the daemon needs nothing of it but where the
  libraries are.

    VENV/bin/python scripts/quick_start.py
"""

from __future__ import annotations

import os
import shlex
import site
import sys
from collections.abc import Sequence
from pathlib import Path

LONGEST = 127
"""Bytes that every kernel takes of a first line."""
BASH = "/bin/bash"


def quick(source: str, python: str, packages: Sequence[str]) -> str | None:
    """The script for that interpreter, with the directories in which packages are. None if no first
    line can name the interpreter."""
    first = f"#!{python} -SI"
    if len(first.encode()) > LONGEST or len(first.split()) != 2:
        return None
    return f"{first}\n{_body(source, packages)}"


def quicker(source: str, python: str, packages: Sequence[str]) -> str | None:
    """Like `quick`, and bash is asked first. None if there is no bash, or if the two can't be one
    file."""
    from croze import version
    from croze.cli.surroundings import program, short_name
    from croze.cli.warm.slots import SLOTS

    shell = Path(__file__).with_suffix(".bash").read_text()
    values = {
        "PYTHON": python,
        "NAME": short_name(program(python)),
        "SLOTS": str(SLOTS),
        "VERSION": version.__file__,
        "TEXT": version.text_for("croze"),
        "PLUGIN": version.text_for("docker-buildx"),
    }
    for name, value in values.items():
        shell = shell.replace(f"@{name}@", shlex.quote(value))
    if shell.count("'''") != 2 or "\\" in shell or not os.access(BASH, os.X_OK):
        return None
    return shell + _body(source, packages)


def _body(source: str, packages: Sequence[str]) -> str:
    _, _, rest = source.partition("\n")
    before, imports, behind = rest.partition("import sys\n")
    return f"{before}{imports}\nsys.path[:0] = {[*packages]}\n{behind}"


def main() -> None:
    import croze

    folder, sources = Path(sys.prefix) / "bin", Path(__file__).parents[1] / "bin"
    python, own = str(folder / "python"), str(Path(croze.__file__).parent.parent)
    everything = [*dict.fromkeys((own, *site.getsitepackages()))]
    starts = [(quick, "crozed", everything), (quick, "croze", [own]), (quicker, "croze", [own])]
    for start, name, packages in starts:
        script = start((sources / name).read_text(), python, packages)
        if script is not None:
            (folder / name).write_text(script)


if __name__ == "__main__":
    main()
