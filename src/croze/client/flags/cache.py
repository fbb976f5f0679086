"""`--cache-from` and `--cache-to`. Grammar: buildx `util/buildflags/cache.go`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from croze.client.plan import CacheSpec
from croze.clouds.aws import CredentialChain
from croze.errors import CrozeError, InvalidRequest
from croze.gotypes import csv_line
from croze.gotypes.booleans import parse_bool
from croze.gotypes.quote import quote


def parse_caches(values: Iterable[str]) -> list[CacheSpec]:
    """`type=…,key=value`, or references alone (registry), several in one value. What follows
    `mounts=` without a key is one more of these."""
    caches: list[CacheSpec] = []
    for text in values:
        if text and "=" not in text:
            caches += map(_parse, csv_line.fields(text))
        elif text:
            caches.append(_parse(text))
    return caches


def _parse(text: str) -> CacheSpec:
    type, attrs = "", {}
    parts = csv_line.fields(text)
    if len(parts) == 1 and "=" not in text:
        return CacheSpec("registry", {"ref": parts[0]})
    for part in csv_line.continued(parts, "mounts"):
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid value {part}")
        if key.lower() == "type":
            type = value
        else:
            attrs[key.lower()] = value
    if not type:
        raise InvalidRequest(f"type required for {quote(text)}")
    return CacheSpec(type, attrs)


def complete(caches: Iterable[CacheSpec]) -> list[CacheSpec]:
    """Fill in what buildx does: of GitHub's cache service what the environment says, of AWS whose
    credentials are found here. A GitHub cache without a token or a place is dropped."""
    completed = [_complete(cache) for cache in caches]
    return [cache for cache in completed if cache.type != "gha" or _is_active(cache)]


def _complete(cache: CacheSpec) -> CacheSpec:
    match cache.type:
        case "gha":
            return CacheSpec(cache.type, {**_github(cache.attrs), **cache.attrs})
        case "s3":
            return CacheSpec(cache.type, {**_aws(cache.attrs), **cache.attrs})
    return cache


def _is_active(cache: CacheSpec) -> bool:
    attrs = cache.attrs
    return bool(attrs.get("token") and (attrs.get("url") or attrs.get("url_v2")))


def _github(attrs: Mapping[str, str]) -> dict[str, str]:
    """GitHub tells a workflow's steps where the cache is (actions/toolkit, `packages/cache`)."""
    runtime = _from_environment(token=("ACTIONS_RUNTIME_TOKEN",))
    runtime |= _from_environment(url=("ACTIONS_CACHE_URL", "ACTIONS_RESULTS_URL"))
    second = parse_bool(os.environ.get("ACTIONS_CACHE_SERVICE_V2", ""))
    if attrs.get("version", "2" if second else "") == "2":
        runtime |= _from_environment(url_v2=("ACTIONS_RESULTS_URL",))
    return runtime


def _from_environment(**names: tuple[str, ...]) -> dict[str, str]:
    candidates = {
        key: [os.environ[n] for n in several if n in os.environ] for key, several in names.items()
    }
    return {key: values[0] for key, values in candidates.items() if values}


def _aws(attrs: Mapping[str, str]) -> dict[str, str]:
    """Nothing where both keys are said: a token of other keys would not go with them."""
    if "access_key_id" in attrs and "secret_access_key" in attrs:
        return {}
    try:
        credentials = CredentialChain().credentials()
    except CrozeError:
        return {}  # the daemon may have its own
    own_attrs = {
        "access_key_id": credentials.access_key_id,
        "secret_access_key": credentials.secret_access_key,
        "session_token": credentials.session_token,
    }
    return {key: value for key, value in own_attrs.items() if value}
