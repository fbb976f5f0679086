"""`config.json` as an OCI runtime gets it: the one place where what clients say becomes a file.

A runtime in C takes a text to end at its first zero byte: a command would be cut, a path be another
one. The kernel has no argument, variable, path or name with one, so nothing is lost by refusing it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from croze.gotypes.quote import quote
from croze.runtime.errors import StartError
from croze.runtime.oci_spec import Json

MODE = 0o600
"""It holds what secrets are in a step's environment."""


def write(path: Path, config: Json, part: str = "") -> None:
    """Write it, or the one `part` of it. Raises `StartError` for what no process can be given."""
    for where in _with_zero_byte(config, ()):
        raise StartError(_refusal(config, where))
    _check_process(config["process"])
    text = json.dumps(config[part] if part else config)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE), "w") as out:
        out.write(text)


def _check_process(process: Json) -> None:
    """Refuse what runc does, in its words, and crun takes for something else: a directory from
    nowhere, and a variable that nobody can name."""
    if not process["cwd"]:
        raise StartError("Cwd property must not be empty")
    if not process["cwd"].startswith("/"):
        raise StartError("Cwd must be an absolute path")
    for variable in process["env"]:
        if variable.startswith("="):
            raise StartError(f"environment variable name can't be empty: {quote(variable)}")


def _with_zero_byte(value: object, where: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The places of all texts (names too) with a zero byte."""
    match value:
        case str() if "\0" in value:
            yield where
        case dict():
            for name, item in value.items():
                yield from _with_zero_byte(name, where)
                yield from _with_zero_byte(item, (*where, name))
        case list() | tuple():
            for item in value:
                yield from _with_zero_byte(item, where)


def _refusal(config: Json, where: tuple[str, ...]) -> str:
    """What is refused, in the words of `execve(2)`'s callers, and of runc."""
    match where:
        case ("process", "args" | "env", *_):
            return f"exec {config['process']['args'][0]}: invalid argument"
        case ("mounts", *_):
            return "invalid mount: mount field contains null byte"
    return f"{'.'.join(where)}: invalid argument"
