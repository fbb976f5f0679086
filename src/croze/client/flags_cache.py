"""`--cache-from` and `--cache-to`. Grammar: buildx `util/buildflags/cache.go`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from croze.errors import InvalidRequest
from croze.gotypes import csv_line
from croze.quote import quote


@dataclass(frozen=True)
class Cache:
    type: str
    attrs: dict[str, str] = field(default_factory=dict)


def parse_caches(values: Iterable[str]) -> list[Cache]:
    """`type=…,key=value`, or references alone (registry), several in one value. What follows
    `mounts=` without a key is one more of these."""
    found: list[Cache] = []
    for text in values:
        if text and "=" not in text:
            found += [Cache("registry", {"ref": ref}) for ref in csv_line.fields(text)]
        elif text:
            found.append(_parse(text))
    return found


def _parse(text: str) -> Cache:
    type, key, attrs = "", "", dict[str, str]()
    for part in csv_line.fields(text):
        name, equals, value = part.partition("=")
        if not equals and key == "mounts":
            attrs[key] += f",{part}"
            continue
        if not equals:
            raise InvalidRequest(f"invalid value {part}")
        key = name.lower()
        if key == "type":
            type = value
        else:
            attrs[key] = value
    if not type:
        raise InvalidRequest(f"type required for {quote(text)}")
    return Cache(type, attrs)


_GITHUB = (
    ("token", "ACTIONS_RUNTIME_TOKEN"),
    ("url_v2", "ACTIONS_RESULTS_URL"),
    ("url", "ACTIONS_CACHE_URL"),
)
_AWS = (
    ("access_key_id", "AWS_ACCESS_KEY_ID"),
    ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("session_token", "AWS_SESSION_TOKEN"),
)


def complete(caches: Iterable[Cache]) -> list[Cache]:
    """Fill in what the environment knows: GitHub's cache service and AWS credentials. A GitHub
    cache without a token is dropped."""
    completed = (_complete(cache) for cache in caches)
    return [cache for cache in completed if cache is not None]


def _complete(cache: Cache) -> Cache | None:
    known = {"gha": _GITHUB, "s3": _AWS}.get(cache.type, ())
    attrs = dict(cache.attrs)
    for key, name in known:
        if key not in attrs and os.environ.get(name):
            attrs[key] = os.environ[name]
    if cache.type == "gha" and not ("token" in attrs and ("url" in attrs or "url_v2" in attrs)):
        return None
    return Cache(cache.type, attrs)
