"""Programs of our own, for the interpreter that runs this one. Imports nothing but `sys`, until
one is started."""

import sys


def own_program(module: str) -> "list[str]":
    """How the command line of a module of Croze's begins. It looks for nothing in the working
    directory, and is told as little by `PYTHON*` variables as this process was: they may be meant
    for programs that work with other libraries."""
    return [sys.executable, "-I" if sys.flags.isolated else "-P", "-m", module]


def own_environment() -> "dict[str, str]":
    """The environment of such a program, where that is to find modules where this process does. Of
    `PYTHON*` variables it is told others only if this process was."""
    import os

    heeded = not sys.flags.ignore_environment
    variables = {k: v for k, v in os.environ.items() if heeded or not k.startswith("PYTHON")}
    return {**variables, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
