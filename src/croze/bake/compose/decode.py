"""What the original's decoder makes of sizes and hosts, and refuses that fits the schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from croze.bake.compose.data import Data, Mapping
from croze.bake.compose.merge import plain_text
from croze.bake.compose.moments import Moment
from croze.errors import InvalidRequest
from croze.gotypes.sizes import binary_size, parse_bytes

# Fields are decoded, and told of, in this order.
_ORDER = (
    *("context", "dockerfile", "dockerfile_inline", "entitlements", "cache_from", "cache_to"),
    *("no_cache", "pull", "extra_hosts", "isolation", "network", "target", "shm_size", "tags"),
    *("platforms", "privileged"),
)
_TEXTS = ("context", "dockerfile", "dockerfile_inline", "target", "network", "isolation")
_LISTS = ("entitlements", "cache_from", "cache_to", "tags", "platforms")
_FLAGS = ("no_cache", "pull", "privileged")
_NUMBER = re.compile("[-+]?[0-9]{1,18}")
_TRUTHS = frozenset(("true", "false", "y", "yes", "n", "no", "on", "off"))


def undecodable(service: str, build: Mapping) -> list[str]:
    """What is wrong with the fields of a build, each named; nothing if all can be read."""
    readers: tuple[tuple[str, Callable[[Data], object]], ...]
    readers = (("extra_hosts", hosts), ("shm_size", size))
    unread = (each for key, read in readers for each in _unread(key, read, build))
    named = (*_moments(build), *_flags(build), *unread)
    ordered = sorted(named, key=lambda each: _ORDER.index(each[0].partition("[")[0]))
    return [f"'services[{service}].build.{field}' {problem}" for field, problem in ordered]


def _moments(build: Mapping) -> Iterator[tuple[str, str]]:
    """Moments where texts are wanted."""
    for key in _TEXTS:
        yield from _moment(key, build.get(key))
    for key in _LISTS:
        entries = build.get(key)
        for index, each in enumerate(entries if isinstance(entries, list) else ()):
            yield from _moment(f"{key}[{index}]", each)


def _moment(field: str, value: Data) -> Iterator[tuple[str, str]]:
    if isinstance(value, Moment):
        yield field, "expected type 'string', got unconvertible type 'time.Time'"


def _flags(build: Mapping) -> Iterator[tuple[str, str]]:
    for key in _FLAGS:
        value = build.get(key)
        if isinstance(value, str) and value.lower() not in _TRUTHS:
            yield key, f"invalid boolean: {value}"


def _unread(key: str, read: Callable[[Data], object], build: Mapping) -> Iterator[tuple[str, str]]:
    try:
        read(build.get(key))
    except InvalidRequest as error:
        yield key, str(error)


def size(value: Data) -> str | None:
    """Bytes as people write them; InvalidRequest for what is no size."""
    if value is None:
        return None
    amount = value if isinstance(value, int) else 0
    if isinstance(value, str):
        amount = int(value) if _NUMBER.fullmatch(value) else parse_bytes(value)
    return binary_size(amount) if amount > 0 else None


def hosts(value: Data) -> dict[str, str | None]:
    """Addresses by name, those of one name between commas; InvalidRequest for a name without."""
    by_name: dict[str, list[str]] = {}
    if isinstance(value, dict):
        for host, each in value.items():
            entries = each if isinstance(each, list) and each else [each]
            by_name[host] = list(map(plain_text, entries))
    for each in value if isinstance(value, list) else ():
        text = plain_text(each)
        host, there, address = text.partition("=" if "=" in text else ":")
        if not there:
            raise InvalidRequest(f"invalid additional host, missing IP: {text}")
        by_name.setdefault(host, []).extend(address.split(","))
    for host in by_name:
        if not host or ":" in host or "=" in host:
            raise InvalidRequest(f"bad host name '{host}'")
    return {host: ",".join(map(_bare, addresses)) for host, addresses in by_name.items()}


def _bare(address: str) -> str:
    in_brackets = len(address) > 2 and address.startswith("[") and address.endswith("]")
    return address[1:-1] if in_brackets else address


def unsupported_number(value: Data) -> str:
    """The first number that JSON has no way to write, as Go shows it; empty if there is none."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    inner: Iterable[Data] = ()
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    return next(filter(None, map(unsupported_number, inner)), "")
