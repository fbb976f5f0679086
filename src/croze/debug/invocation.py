"""What is to run in a debugger's container, and when: `--invoke` and `--on`.

Source: buildx `commands/debug.go` (parseInvokeConfig) and `build/invoke.go`.
"""

from __future__ import annotations

import json
import re

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.gotypes import csv_line
from croze.gotypes.booleans import parse_bool

_QUOTED = re.compile(r'(^|,)"')
"""A field that is quoted as a whole; a quote elsewhere is a plain character."""


class Invocation(Struct):
    """Changed by the monitor's commands: what a `rollback` names stays for those that follow."""

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
        """With something to run, in place."""
        if not self.command:
            self.entrypoint, self.cmd, self.no_cmd = [shell], [], False
        return self


def parse_invocation(invoke: str, on: str) -> Invocation:
    """Raises `InvalidRequest`."""
    made = Invocation(always=on == "always" or (on != "error" and invoke != ""))
    if invoke in ("", "default"):
        return made
    if invoke == "on-error":
        made.cmd, made.no_cmd = ["/bin/sh"], False
        return made
    words = csv_line.fields(invoke) if _QUOTED.search(invoke) else invoke.split(",")
    if len(words) == 1 and "=" not in words[0]:
        made.cmd, made.no_cmd = [words[0]], False
        return made
    made.no_user = made.no_cwd = True
    for field in words:
        _set(made, field)
    return made


def _set(made: Invocation, field: str) -> None:
    key, equals, value = field.partition("=")
    if not equals:
        raise InvalidRequest(f"invalid value {field}")
    match key.lower():
        case "args":
            made.cmd, made.no_cmd = [*(made.cmd or ()), *_list(value)], False
        case "entrypoint":
            made.entrypoint = [*(made.entrypoint or ()), *_list(value)]
            if made.cmd is None:
                made.cmd, made.no_cmd = [], False
        case "env":
            made.env = (*made.env, *_list(value))
        case "user":
            made.user, made.no_user = value, False
        case "cwd":
            made.cwd, made.no_cwd = value, False
        case "tty":
            wanted = parse_bool(value)
            if wanted is None:
                raise InvalidRequest(
                    f'failed to parse tty: strconv.ParseBool: parsing "{value}": invalid syntax'
                )
            made.tty = wanted
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
