"""`croze cache-mount COMMAND`: finds the command."""

from __future__ import annotations

from croze.cli.groups import CommandGroup

COMMANDS = {
    "export": ("export", "Write cache mounts to a file or a cache"),
    "import": ("import_", "Merge cache mounts from a file or a cache"),
    "inspect": ("inspect", "Show everything about cache mounts"),
    "ls": ("ls", "List cache mounts"),
    "rm": ("rm", "Remove cache mounts"),
}
run = CommandGroup(
    "croze cache-mount",
    "Commands to work on the contents of RUN --mount=type=cache",
    "croze.cli.cache_mount",
    COMMANDS,
).run
