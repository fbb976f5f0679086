"""`resources`: limits on the memory and CPU of a build's steps."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from croze.bake.errors import BakeError
from croze.bake.values.convert import ConversionError, convert
from croze.bake.values.types import NUMBER, STRING, object_of
from croze.bake.values.value import Value, integer, null_of, object_value, string

_TEXTS = ("memory", "memory-swap", "cpuset-cpus", "cpuset-mems")
_NUMBERS = ("cpu-shares", "cpu-period", "cpu-quota")
_ORDER = (
    "memory",
    "memory-swap",
    "cpu-shares",
    "cpu-period",
    "cpu-quota",
    "cpuset-cpus",
    "cpuset-mems",
)
_TYPE = object_of(
    {**dict.fromkeys(_TEXTS, STRING), **dict.fromkeys(_NUMBERS, NUMBER)}, frozenset(_ORDER)
)
_LARGEST = 2**63 - 1


class ResourceLimits(Struct, frozen=True):
    """Limits by name; what is absent is not limited."""

    limits: dict[str, str | int] = field(default_factory=dict)

    def merged(self, other: ResourceLimits) -> ResourceLimits:
        return ResourceLimits({**self.limits, **other.limits})

    def with_field(self, name: str, text: str) -> ResourceLimits:
        """One limit more, as `--set` gives it."""
        if name in _TEXTS:
            return replace(self, limits={**self.limits, name: text})
        if name not in _NUMBERS:
            raise BakeError(f"unknown resources key {name}")
        digits = text[1:] if text[:1] in ("-", "+") else text
        if not (digits.isascii() and digits.isdecimal()) or abs(int(text)) > _LARGEST:
            raise BakeError(f"invalid value {text} for int64 key resources.{name}")
        return replace(self, limits={**self.limits, name: int(text)})

    def plain(self) -> dict[str, object]:
        return {name: self.limits[name] for name in _ORDER if name in self.limits}

    def flags(self) -> list[str]:
        """The limits as `--resource` flags."""
        return [f"{name}={self.limits[name]}" for name in _ORDER if name in self.limits]


def resources_from_value(value: Value) -> ResourceLimits:
    """The limits of a target's `resources`. Raises `ConversionError`."""
    members = convert(value, _TYPE)
    limits: dict[str, str | int] = {}
    for name in _ORDER:
        each = members.fields.get(name)
        if each is None or each.is_null or not each.is_known:
            continue
        if name in _TEXTS:
            limits[name] = each.text
            continue
        number = each.number
        if not number.is_whole or abs(number.truncated()) > _LARGEST:
            raise ConversionError(
                f"value must be a whole number, between {-_LARGEST - 1} and {_LARGEST}"
            )
        limits[name] = number.truncated()
    return ResourceLimits(limits)


def resources_value(resources: ResourceLimits | None) -> Value:
    if resources is None:
        return null_of(_TYPE)
    fields: dict[str, Value] = {}
    for name in _ORDER:
        limit = resources.limits.get(name)
        if limit is None:
            fields[name] = null_of(STRING if name in _TEXTS else NUMBER)
        else:
            fields[name] = string(limit) if isinstance(limit, str) else integer(limit)
    return object_value(fields)
