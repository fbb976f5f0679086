"""The `--name=value` flags of an instruction."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from croze.dockerfile.location import DockerfileError
from croze.dockerfile.suggest import likely_first, with_suggestion


class InstructionFlags(Struct):
    """What was given. `values` has the text flags, `switches` the boolean ones, `lists` those that
    may be repeated; only flags that were used are in."""

    values: dict[str, str] = field(default_factory=dict)
    switches: dict[str, bool] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)

    def list(self, name: str) -> tuple[str, ...]:
        return tuple(self.lists.get(name, ()))


def parse_flags(
    texts: Iterable[str],
    *,
    values: tuple[str, ...] = (),
    switches: tuple[str, ...] = (),
    lists: tuple[str, ...] = (),
) -> InstructionFlags:
    """Check flags against the names that the instruction knows. Raises `DockerfileError`."""
    flags = InstructionFlags()
    for text in texts:
        flag, equals, value = text.partition("=")
        name = flag[2:]
        if name not in (*values, *switches, *lists):
            likely = likely_first((*values, *switches, *lists), name)
            raise DockerfileError(
                with_suggestion(f"unknown flag: {flag}", name, likely, case_sensitive=True)
            )
        if name in flags.values or name in flags.switches:
            raise DockerfileError(f"duplicate flag specified: {flag}")
        if name in switches:
            flags.switches[name] = _switch(flag, equals, value)
            continue
        if not equals:
            raise DockerfileError(f"missing a value on flag: {flag}")
        if name in lists:
            flags.lists.setdefault(name, []).append(value)
        else:
            flags.values[name] = value
    return flags


def _switch(flag: str, equals: str, value: str) -> bool:
    if equals and not value:
        raise DockerfileError(f"missing a value on flag: {flag}")
    match value.lower():
        case "" | "true":
            return True
        case "false":
            return False
    raise DockerfileError(f"expecting boolean value for flag {flag}, not: {value}")
