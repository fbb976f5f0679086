"""What is to run in a debugger's container, and when: `--invoke` and `--on`.

Source: buildx `commands/debug.go` (parseInvokeConfig) and `build/invoke.go`.
"""

from __future__ import annotations

import json
import re

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.gotypes import csv_line
from croze.gotypes.booleans import checked_bool

_QUOTED = re.compile(r'(^|,)"')
"""A field that is quoted as a whole; a quote elsewhere is a plain character."""


class Invocation(Struct):
    """What to run in a debugger's container, and when. The monitor's commands change it: what a
    `rollback` names stays for those that follow."""

    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    no_cmd: bool = True
    """The image's own command is meant."""
    env: tuple[str, ...] = ()
    user: str = ""
    no_user: bool = False
    """The image's own user is meant."""
    cwd: str = ""
    no_cwd: bool = False
    tty: bool = True
    initial: bool = False
    """The state before the step that failed is meant, not that in which it failed."""
    always: bool = False
    """After a success, too."""

    @property
    def command(self) -> list[str]:
        return [*(self.entrypoint or ()), *(self.cmd or ())]

    def or_shell(self, shell: str = "sh") -> Invocation:
        """The invocation with something to run, in place: a shell if it names nothing."""
        if not self.command:
            self.entrypoint, self.cmd, self.no_cmd = [shell], [], False
        return self


def parse_invocation(invoke: str, on: str) -> Invocation:
    """What `--invoke` and `--on` say. Raises `InvalidRequest`."""
    invocation = Invocation(always=on == "always" or (on != "error" and invoke != ""))
    if invoke in ("", "default"):
        return invocation
    if invoke == "on-error":
        invocation.cmd, invocation.no_cmd = ["/bin/sh"], False
        return invocation
    words = csv_line.fields(invoke) if _QUOTED.search(invoke) else invoke.split(",")
    if len(words) == 1 and "=" not in words[0]:
        invocation.cmd, invocation.no_cmd = [words[0]], False
        return invocation
    invocation.no_user = invocation.no_cwd = True
    for field in words:
        _set(invocation, field)
    return invocation


def _set(invocation: Invocation, field: str) -> None:
    key, equals, value = field.partition("=")
    if not equals:
        raise InvalidRequest(f"invalid value {field}")
    match key.lower():
        case "args":
            invocation.cmd, invocation.no_cmd = [*(invocation.cmd or ()), *_list(value)], False
        case "entrypoint":
            invocation.entrypoint = [*(invocation.entrypoint or ()), *_list(value)]
            if invocation.cmd is None:
                invocation.cmd, invocation.no_cmd = [], False
        case "env":
            invocation.env = (*invocation.env, *_list(value))
        case "user":
            invocation.user, invocation.no_user = value, False
        case "cwd":
            invocation.cwd, invocation.no_cwd = value, False
        case "tty":
            invocation.tty = checked_bool(value, "failed to parse tty")
        case other:
            raise InvalidRequest(f'unknown key "{other}"')


def _list(value: str) -> list[str]:
    """A JSON array of texts, or the text itself."""
    try:
        items = json.loads(value)
    except ValueError:
        return [value]
    if isinstance(items, list) and all(isinstance(each, str) for each in items):
        return items
    return [value]
