"""`croze imagetools COMMAND`: finds the command."""

from __future__ import annotations

from croze.cli.groups import CommandGroup

COMMANDS = {
    "create": ("create", "Create a new image based on source images"),
    "inspect": ("inspect", "Show details of an image in the registry"),
}
run = CommandGroup(
    "croze imagetools", "Commands to work on images in registry", "croze.cli.imagetools", COMMANDS
).run
