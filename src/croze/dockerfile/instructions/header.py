"""What every instruction takes from its node, and the complaints that all of them share."""

from __future__ import annotations

from typing import TypedDict

from croze.dockerfile.location import DockerfileError, Ranges
from croze.dockerfile.syntax_tree import InstructionNode
from croze.gotypes.strings import SPACE


class Header(TypedDict):
    """The fields of `Instruction`."""

    name: str
    original: str
    location: Ranges
    comments: tuple[str, ...]


def header(node: InstructionNode) -> Header:
    """What all instructions have, as keyword arguments of theirs."""
    return {
        "name": node.name,
        "original": node.original.strip(SPACE),
        "location": node.location,
        "comments": node.comments,
    }


def joined_args(node: InstructionNode) -> tuple[str, ...]:
    """A command's arguments: as they are in exec form, one text in shell form."""
    return node.args if node.json or not node.args else (" ".join(node.args),)


def exactly_one(keyword: str, node: InstructionNode) -> str:
    if len(node.args) != 1:
        raise DockerfileError(f"{keyword} requires exactly one argument")
    return node.args[0]


def at_least_one(keyword: str, args: tuple[str, ...]) -> tuple[str, ...]:
    if not args:
        raise DockerfileError(f"{keyword} requires at least one argument")
    return args
