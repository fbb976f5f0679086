"""Programs of our own, for the interpreter that runs this one. Imports nothing but `sys`."""

import sys


def own_program(module: str) -> "list[str]":
    """How the command line of a module of Croze's begins. It looks for nothing in the working
    directory, and is told as little by `PYTHON*` variables as this process was: they may be meant
    for programs that work with other libraries."""
    return [sys.executable, "-I" if sys.flags.isolated else "-P", "-m", module]
