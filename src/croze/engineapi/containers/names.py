"""Names of containers: those that clients give, and those that we make up."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection

from croze.errors import InvalidRequest

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
HOW = [
    "brave",
    "calm",
    "clever",
    "eager",
    "gentle",
    "happy",
    "kind",
    "lively",
    "merry",
    "neat",
    "proud",
    "quick",
    "quiet",
    "wise",
]
WHO = [
    "bung",
    "barrel",
    "cask",
    "chime",
    "cooper",
    "firkin",
    "hogshead",
    "hoop",
    "keg",
    "pipe",
    "puncheon",
    "stave",
    "tun",
    "vat",
]


def check(name: str) -> None:
    """See that a text can be a container's name. Raises `InvalidRequest`."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )


def fresh(names: Collection[str]) -> str:
    """A name that no other has, such as `quiet_cooper`."""
    while True:
        name = f"{secrets.choice(HOW)}_{secrets.choice(WHO)}"
        for candidate in (name, f"{name}{secrets.randbelow(10000)}"):
            if candidate not in names:
                return candidate
