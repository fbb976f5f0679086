"""A builder and its nodes, as buildx stores them.

Source: docker/buildx `store/nodegroup.go`: one JSON file a builder below `instances/`, members
named as Go's struct fields, `Flags` for the daemon's flags, files base64. buildx must be able to
read what is written here, so nothing is added; what is not understood is refused by the reader
(`files.py`).
"""

from __future__ import annotations

import re

import msgspec

from croze.errors import InvalidRequest
from croze.image import platform as platforms
from croze.image.platform import Platform

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9._-]*\Z")


class BuilderNode(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """One daemon of a builder. `platforms` are those that the user fixed, none for "as detected";
    `files` by name, such as `buildkitd.toml`, with what they hold."""

    name: str
    endpoint: str
    platforms: tuple[Platform, ...] | None = None
    driver_opts: dict[str, str] | None = None
    flags: tuple[str, ...] | None = None
    files: dict[str, bytes] | None = None


class BuilderInstance(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """A named group of nodes behind one driver."""

    name: str
    driver: str
    nodes: tuple[BuilderNode, ...] | None = None
    dynamic: bool = False

    @property
    def members(self) -> tuple[BuilderNode, ...]:
        """All nodes, of which a builder's file may have none."""
        return self.nodes or ()

    def node(self, name: str) -> BuilderNode | None:
        """The node of that name; None if there is none."""
        return next((node for node in self.members if node.name == name), None)


def checked_name(text: str) -> str:
    """A builder's or node's name, in lower case as it is stored. Raises `InvalidRequest`."""
    if not _NAME.match(text):
        raise InvalidRequest(
            f"invalid name {text}, name needs to start with a letter and may not contain symbols, "
            "except ._-"
        )
    return text.lower()


def parse_platforms(texts: tuple[str, ...]) -> tuple[Platform, ...]:
    """`--platform` values, each one or several parted by commas; `local` is this machine's."""
    words = [word for text in texts for word in text.split(",")]
    return tuple(
        platforms.default_platform()
        if word.lower() == "local"
        else platforms.normalize(platforms.parse(word))
        for word in words
    )


def format_in_groups(fixed: tuple[Platform, ...], detected: tuple[Platform, ...]) -> list[str]:
    """Every platform once, those that the user fixed first and with a star."""
    shown: dict[str, str] = {}
    for group, mark in ((fixed, "*"), (detected, "")):
        for one in group:
            text = platforms.format(platforms.normalize(one))
            shown.setdefault(text, text + mark)
    return list(shown.values())
