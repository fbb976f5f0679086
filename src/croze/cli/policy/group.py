"""`croze policy COMMAND`: finds the command."""

from __future__ import annotations

from croze.cli.groups import CommandGroup

COMMANDS = {
    "eval": ("eval", "Evaluate policy for a source"),
    "test": ("test", "Run policy tests"),
}
run = CommandGroup(
    "croze policy", "Commands for working with build policies", "croze.cli.policy", COMMANDS
).run
