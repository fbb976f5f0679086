"""`croze history COMMAND`: finds the command."""

from __future__ import annotations

from croze.cli.groups import CommandGroup

COMMANDS = {
    "export": ("export", "Export build records into Docker Desktop bundle"),
    "import": ("import_", "Import build records from bundles"),
    "inspect": ("inspect", "Inspect a build record"),
    "logs": ("logs", "Print the logs of a build record"),
    "ls": ("ls", "List build records"),
    "open": ("open", "Open a build record in Docker Desktop"),
    "rm": ("rm", "Remove build records"),
    "trace": ("trace", "Show the OpenTelemetry trace of a build record"),
}
run = CommandGroup(
    "croze history",
    "Commands to work on build records",
    "croze.cli.history",
    COMMANDS,
).run
