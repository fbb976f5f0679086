"""Commands that may start `ssh`, which asks for a password, or whether a host is the right one. It
asks at its own terminal, and what a warm process starts has none: they run by themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from croze.builders.contexts import Contexts
from croze.drivers.local import address_from_environment
from croze.errors import CrozeError
from croze.files.docker_config import buildx_dir, config_dir
from croze.files.settings import read_settings

SSH = "ssh://"
TERMINAL = 4
"""Which it is of the fields behind the name in /proc/PID/stat (proc(5), `tty_nr`)."""


def has_terminal(pid: str) -> bool:
    """Whether that process is of a terminal. Raises `OSError`."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    return fields[TERMINAL] != b"0"


def may_ask(argv: Sequence[str]) -> bool:
    """Whether a daemon that this command may dial is behind ssh: one that its words or the
    environment name, one of any builder, or the engine of a Docker context in use (or of
    `DOCKER_HOST`)."""
    try:
        texts = [*argv, address_from_environment(), *_builders()]
        return any(SSH in text for text in (*texts, *_hosts(texts)))
    except (OSError, CrozeError):
        return False  # the command itself tells what is wrong


def _builders() -> Iterator[str]:
    """What is written down of builders, and which of them was chosen."""
    folder = buildx_dir()
    for path in (folder / "current", *(folder / "instances").glob("*")):
        with contextlib.suppress(OSError):
            yield read_settings(path).decode(errors="replace")


def _hosts(texts: Sequence[str]) -> Iterator[str]:
    """The addresses of the contexts that are named."""
    contexts = Contexts(config_dir())
    current = contexts.current
    for name in contexts.names():
        if name == current or any(name in text for text in texts):
            context = contexts.find(name)
            if context is not None:
                yield context.host
