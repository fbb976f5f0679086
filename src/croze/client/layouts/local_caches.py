"""Caches and OCI layouts in directories of the client: what a solve finds there, and what it enters
into their indexes.

Source: BuildKit `client/solve.go`.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from croze import errors
from croze.aio.threads import in_thread
from croze.client.layouts import ociindex
from croze.client.layouts.cache_reset import reset, wants_reset
from croze.client.plan import CacheSpec, SolvePlan, ToLayout
from croze.files.settings import parse_json
from croze.gotypes.quote import quote
from croze.session.directories import make_directory

log = logging.getLogger(__name__)


def prepare_caches(plan: SolvePlan) -> None:
    """Check what caches need; a local import that isn't there is left out."""
    for entry in plan.cache_to:
        _need(entry, "local", "dest", "exporter")
        _need(entry, "registry", "ref", "exporter")
        if entry.type == "local":
            wants_reset(entry.attrs)
            _make_store(entry.attrs["dest"])
    for entry in plan.cache_from:
        _need(entry, "local", "src", "importer")
        _need(entry, "registry", "ref", "importer")
    plan.cache_from[:] = [entry for entry in plan.cache_from if _is_there(entry)]


def _need(entry: CacheSpec, type: str, key: str, role: str) -> None:
    if entry.type == type and not entry.attrs.get(key):
        raise errors.InvalidRequest(f"{type} cache {role} requires {key}")


def _make_store(dest: str) -> None:
    try:
        make_directory(dest, 0o755)
    except OSError as error:
        reason = errors.os_reason(error)
        raise errors.InvalidRequest(f"mkdir {error.filename}: {reason}") from None


def _is_there(entry: CacheSpec) -> bool:
    if entry.type != "local":
        return True
    if not _can_be_looked_at(entry.attrs["src"]):
        return False
    if not (entry.attrs.get("digest") or _find(entry)):
        return False
    source, digest = entry.attrs["src"], entry.attrs["digest"]
    if re.fullmatch(r"[a-z0-9]+:[0-9a-f]+", digest) is None:
        why = "cannot calculate blob path from invalid digest: "
        why += "invalid checksum digest format: invalid argument"
    elif not Path(source, "blobs", *digest.split(":")).is_file():
        why = f"content {digest}: not found"
    else:
        return True
    log.warning("local cache import at %s skipped: digest %s unavailable: %s", source, digest, why)
    return False


def _can_be_looked_at(source: str) -> bool:
    try:
        is_file = not stat.S_ISDIR(os.stat(source).st_mode)
    except FileNotFoundError:
        is_file = False
    except OSError as error:
        why = f"failed to stat {quote(source)}: stat {source}: {errors.os_reason(error)}"
        log.warning("local cache import at %s not found due to err: %s", source, why)
        return False
    if is_file:
        lock = f"{source}/index.json.lock"
        why = f"could not lock {lock}: open {lock}: not a directory"
        log.warning("local cache import at %s skipped due to err: %s", source, why)
    return not is_file


def _find(entry: CacheSpec) -> bool:
    """Look up the digest that the entry's tag stands for."""
    source, tag = entry.attrs["src"], entry.attrs.get("tag", "latest")
    if not tag:
        raise errors.InvalidRequest(
            'local cache importer requires either explicit digest, "latest" tag or custom tag on '
            "index.json"
        )
    try:
        digest = ociindex.find(Path(source), tag)
    except errors.CrozeError as error:
        log.warning("local cache import at %s skipped due to err: %s", source, error)
        return False
    if digest is None:
        log.warning("local cache import at %s skipped: no digest found for tag %s", source, tag)
        return False
    entry.attrs["digest"] = digest
    return True


async def finish_caches(plan: SolvePlan, response: dict[str, str]) -> None:
    """What is left to do here for caches and layouts in local directories."""
    if plan.cache_to or any(isinstance(export.to, ToLayout) for export in plan.exports):
        await in_thread(_update_indexes, plan, response)
        await in_thread(_reset_caches, plan)


def _reset_caches(plan: SolvePlan) -> None:
    for entry in plan.cache_to:
        if entry.type == "local" and wants_reset(entry.attrs):
            try:
                reset(Path(entry.attrs["dest"]))
            except (OSError, ValueError, errors.InvalidRequest) as error:
                log.warning("failed to reset cache store: %s", error)


def _update_indexes(plan: SolvePlan, response: dict[str, str]) -> None:
    """Enter what the daemon wrote into the layouts' indexes."""
    if response.get("cache.manifest"):
        descriptor = _descriptor(response["cache.manifest"])
        for entry in plan.cache_to:
            if entry.type == "local":
                tag = entry.attrs.get("tag", "latest")
                ociindex.put(Path(entry.attrs["dest"]), descriptor, tag=tag)
    if response.get("containerimage.descriptor"):
        descriptor = _descriptor(response["containerimage.descriptor"], base64.b64decode)
        names = [name for name in response.get("image.name", "").split(",") if name]
        for export in plan.exports:
            if isinstance(export.to, ToLayout):
                tag = "" if names else "latest"
                ociindex.put(export.to.path, descriptor, tag=tag, names=names)


def _descriptor(
    text: str, decoded: Callable[[str], str | bytes] = lambda text: text
) -> ociindex.Descriptor:
    """What the daemon says it has written into a layout. Raises `CrozeError`."""
    try:
        descriptor = parse_json(decoded(text))
    except ValueError as error:
        raise errors.CrozeError(f"failed to unmarshal the daemon's descriptor: {error}") from None
    if not isinstance(descriptor, dict) or not isinstance(descriptor.get("digest"), str):
        raise errors.CrozeError("failed to unmarshal the daemon's descriptor: no descriptor")
    return descriptor
