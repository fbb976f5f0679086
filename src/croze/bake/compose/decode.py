"""What the original's decoder refuses of a service that fits the schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from croze.bake.compose.data import Data, Mapping
from croze.bake.compose.moments import Moment

_TEXTS = ("context", "dockerfile", "dockerfile_inline", "target", "network", "isolation")
_LISTS = ("entitlements", "cache_from", "cache_to", "tags", "platforms")
_FLAGS = ("no_cache", "pull", "privileged")
_TRUTHS = frozenset(("true", "false", "y", "yes", "n", "no", "on", "off"))


def undecodable(service: str, build: Mapping) -> list[str]:
    """What is wrong with the fields of a build, each named; nothing if all can be read."""
    named = (*_moments(build), *_flags(build))
    return [f"'services[{service}].build.{field}' {problem}" for field, problem in named]


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
