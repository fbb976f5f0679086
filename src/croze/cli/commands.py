"""The commands there are, by name; a command's module is imported when it runs."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from croze.cli.common import Common

# Command -> (module below croze.cli, one-line help): the help must not import the command.
COMMANDS: dict[str, tuple[str, str]] = {
    "build": ("build", "Start a build"),
    "bake": ("bake.command", "Build from a file"),
    "attach": ("attach", "Show the rest of a build, and take its exit code"),
    "cancel": ("cancel", "End running builds"),
    "run": ("run", "Run an image of the local store in a container"),
    "images": ("images", "List the images of the local store"),
    "rmi": ("rmi", "Remove images from the local store"),
    "create": ("create", "Create a new builder instance"),
    "use": ("use", "Set the current builder instance"),
    "ls": ("ls", "List builder instances"),
    "inspect": ("inspect", "Inspect current builder instance"),
    "stop": ("stop", "Stop builder instance"),
    "rm": ("rm", "Remove one or more builder instances"),
    "du": ("du", "Disk usage"),
    "prune": ("prune", "Remove build cache"),
    "history": ("history.group", "Commands to work on build records"),
    "imagetools": ("imagetools.group", "Commands to work on images in registry"),
    "cache-mount": ("cache_mount.group", "Commands to work on cache mounts"),
    "policy": ("policy.group", "Commands for working with build policies"),
    "why": ("why", "Show why the steps of a build missed the cache"),
    "llb": ("llb", "Build and show LLB definitions"),
    "debug": ("debug", "Look into builds, the daemon and its store"),
    "dap": ("dap", "Start debug adapter protocol compatible debugger"),
    "dial-stdio": ("dial_stdio", "Proxy current stdio streams to builder instance"),
    "version": ("version", "Show version information"),
}
HIDDEN: dict[str, tuple[str, str]] = {
    "completion": ("completion", "Generate the autocompletion script for a shell"),
    "install": ("install", "Install buildx as a 'docker builder' alias"),
    "uninstall": ("uninstall", "Uninstall the 'docker builder' alias"),
}
ALIASES = {"b": "build", "f": "bake"}


class CommandModule(Protocol):
    """What a command's module holds."""

    def run(self, argv: Sequence[str], common: Common) -> int:
        """Run with the words behind the command's name; returns the exit code."""


def load(name: str) -> CommandModule:
    """The module of a command."""
    module: CommandModule = importlib.import_module(f"croze.cli.{(COMMANDS | HIDDEN)[name][0]}")
    return module
