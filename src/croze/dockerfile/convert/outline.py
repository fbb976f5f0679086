"""What a stage takes from outside, gathered while it is converted."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from croze.dockerfile.instructions import ArgPair
from croze.dockerfile.location import Ranges
from croze.dockerfile.subrequests import OutlineArg, OutlineUse


class ArgInfo(Struct, frozen=True):
    """A declared argument. `deps` are the arguments in its default."""

    definition: ArgPair
    location: Ranges = ()
    value: str = ""
    deps: frozenset[str] = frozenset()


class OutlineCapture(Struct):
    """Arguments known and used, secrets and ssh agents asked for."""

    args: dict[str, ArgInfo] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    secrets: dict[str, OutlineUse] = field(default_factory=dict)
    ssh: dict[str, OutlineUse] = field(default_factory=dict)

    def copy(self) -> OutlineCapture:
        return OutlineCapture(dict(self.args), set(self.used), dict(self.secrets), dict(self.ssh))

    def used_args(self) -> Iterator[tuple[str, OutlineArg]]:
        """Used arguments and those that they depend on."""
        for key in sorted(self._closure()):
            info = self.args.get(key)
            if info is not None:
                yield (
                    key,
                    OutlineArg(info.definition.key, info.value, info.definition.doc, info.location),
                )

    def _closure(self) -> set[str]:
        names: set[str] = set()
        waiting = list(self.used)
        while waiting:
            key = waiting.pop()
            if key not in names:
                names.add(key)
                if key in self.args:
                    waiting.extend(self.args[key].deps)
        return names
