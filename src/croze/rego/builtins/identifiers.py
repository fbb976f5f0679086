"""Versions (semver.org) and UUIDs."""

from __future__ import annotations

import re
import uuid

from croze.rego.builtins.operands import string
from croze.rego.errors import FunctionError
from croze.rego.functions import RegoSurroundings
from croze.rego.values import Object, Value, boolean

_NUMBER = "([0-9]{1,18})"
_WORDS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_WORDS}))?(?:\+({_WORDS}))?")
_Parsed = tuple[tuple[int, ...], list[str]]
_GREGORIAN_NS100 = 0x01B21DD213814000


def _parsed(text: str) -> _Parsed | None:
    match = _VERSION.fullmatch(text)
    if match is None or len(text) > 512:
        return None
    words = match[4].split(".") if match[4] else []
    return tuple(int(match[i]) for i in (1, 2, 3)), words


def semver_is_valid(text: Value) -> Value:
    return boolean(isinstance(text, str) and _parsed(text) is not None)


def semver_compare(left: Value, right: Value) -> Value:
    one, other = _key(string(left)), _key(string(right))
    return (one > other) - (one < other)


def _key(text: str) -> tuple[object, ...]:
    """Numbers come before words, and a version after what leads up to it."""
    parsed = _parsed(text)
    if parsed is None:
        raise FunctionError(f"string {text} is not a valid SemVer")
    numbers, words = parsed
    ranks = tuple((0, int(w), "") if w.isdecimal() else (1, 0, w) for w in words)
    return numbers, not words, ranks


def uuid_rfc4122(world: RegoSurroundings, name: Value) -> Value:
    """A random one, the same for the same name."""
    key = ("uuid.rfc4122", string(name))
    if key not in world.memory:
        world.memory[key] = str(uuid.UUID(int=world.random(1 << 128), version=4))
    return world.memory[key]


def uuid_parse(text: Value) -> Value:
    plain = string(text)
    try:
        parsed = uuid.UUID(plain)
    except ValueError:
        raise FunctionError("invalid UUID") from None
    fields: dict[Value, Value] = {"version": (parsed.int >> 76) & 15, "variant": _variant(parsed)}
    if parsed.version in (1, 2):
        fields["time"] = _int64((parsed.time - _GREGORIAN_NS100) * 100)
        fields["nodeid"] = "-".join(f"{byte:02x}" for byte in parsed.node.to_bytes(6))
        fields["macvariables"] = _mac(parsed.node)
        fields["clocksequence"] = parsed.clock_seq
    if parsed.version == 2:
        fields["id"] = parsed.time_low
        domain = parsed.clock_seq_low
        fields["domain"] = {0: "Person", 1: "Group", 2: "Org"}.get(domain, f"Domain{domain}")
    return Object(fields)


def _int64(value: int) -> int:
    """A number in 64 bits, which runs over as Go's do."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _variant(parsed: uuid.UUID) -> str:
    names = {
        uuid.RFC_4122: "RFC4122",
        uuid.RESERVED_NCS: "Reserved",
        uuid.RESERVED_MICROSOFT: "Microsoft",
        uuid.RESERVED_FUTURE: "Future",
    }
    return names[parsed.variant]


def _mac(node: int) -> str:
    first = node >> 40
    scope = "local" if first & 2 else "global"
    return f"{scope}:{'multicast' if first & 1 else 'unicast'}"
