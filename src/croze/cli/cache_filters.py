"""`--filter` of `du` and `prune`: which records of the cache.

Source: docker/buildx `commands/prune.go`: `key=value` is equality for the daemon, but `id=` a
pattern; `key!=value` and `key~=value` are passed on; `until` (or `unused-for`) is an age.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.quote import quote

_AGES = ("until", "unused-for")


class CacheFilter(Struct, frozen=True):
    """Which records `--filter` chooses. `terms` as the daemon's filter language has them;
    `unused_for_s` 0 for any age."""

    terms: tuple[str, ...] = ()
    unused_for_s: float = 0

    @property
    def filters(self) -> list[str]:
        """The filters as the Control service takes them."""
        return [",".join(self.terms)]


def with_configured(texts: Sequence[str], configured: Sequence[str]) -> list[str]:
    """The filters of the command line, and those that the Docker CLI's configuration adds to them:
    not a label that the command line says the contrary of."""
    added = list(texts)
    for text in configured:
        key, equals, value = text.partition("=")
        contrary = {"label": "label!", "label!": "label"}.get(key)
        if equals and f"{contrary}={value}" not in texts:
            added.append(text)
    return added


def parse_filters(texts: Iterable[str]) -> CacheFilter:
    """The records that all `--filter` texts together choose. Raises `InvalidRequest`."""
    by_key: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidRequest(
                f'invalid argument {quote(text)} for "--filter" flag: bad format of filter '
                "(expected name=value)"
            )
        values = by_key.setdefault(key.strip().lower(), [])
        if value.strip() not in values:
            values.append(value.strip())
    if all(key in by_key for key in _AGES):
        raise InvalidRequest('conflicting filters "until" and "unused-for"')
    for key, values in by_key.items():
        if len(values) > 1:
            raise InvalidRequest(f"{quote(key)} filter expects only one value")
    terms = (_term(key, values[0]) for key, values in by_key.items() if key not in _AGES)
    ages = [_age_s(key, values[0]) for key, values in by_key.items() if key in _AGES]
    return CacheFilter(tuple(terms), ages[0] if ages else 0)


def _term(key: str, value: str) -> str:
    if key == "id":
        return f"{key}~={value}"
    return f"{key}={value}" if key.endswith(("!", "~")) else f"{key}=={value}"


def _age_s(key: str, value: str) -> float:
    try:
        return parse_duration(value) / 1e9
    except DurationError as error:
        raise InvalidRequest(
            f"{quote(key)} filter expects a duration (e.g., '24h'): {error}"
        ) from None
