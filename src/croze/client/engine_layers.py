"""Which layers a Docker engine has, so that nobody sends them again.

An engine tells the layers of its images; any chain of them that an image begins with can be built
on. Asked of engines with Docker's own layer store alone: containerd's, and podman, want all of an
archive. Who does not answer in time has nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import msgspec

from croze.builders.contexts import Contexts
from croze.client.docker import connection_to
from croze.client.plan import Export, SolvePlan, ToDocker
from croze.errors import CrozeError
from croze.files.docker_config import config_dir
from croze.gotypes import gojson
from croze.image.config import chain_ids

KNOWN_CHAINS = "croze.known-chains"
"""The exporter's attribute (`croze.export.sparse`)."""
PATIENCE_S = 3.0
IMAGES_MOST = 100
"""Of the newest images: what is built on is seldom older."""
CHAINS_MOST = 2000

T = TypeVar("T")


def with_known_layers(plan: SolvePlan) -> SolvePlan:
    """The plan, whose loads leave out what their engines have. Blocks."""
    return replace(plan, exports=[_sparing(export) for export in plan.exports])


def _sparing(export: Export) -> Export:
    if not isinstance(export.to, ToDocker) or export.type != "docker":
        return export
    known = known_chains(export.to.context)
    attrs = {KNOWN_CHAINS: ",".join(sorted(known))} if known else {}
    return replace(export, attrs={**export.attrs, **attrs})


def known_chains(context: str) -> set[str]:
    """Chain IDs of all layers of the engine's newest images."""
    with contextlib.suppress(OSError, ValueError, CrozeError):
        contexts = Contexts(config_dir())
        with contextlib.closing(
            connection_to(contexts.engine(context or contexts.current))
        ) as engine:
            engine.timeout = PATIENCE_S
            if _has_own_layers(engine):
                return set(_chains(engine))
    return set()


class _Part(msgspec.Struct, rename="pascal"):
    name: str = ""


class _Version(msgspec.Struct, rename="pascal"):
    components: list[_Part] = []


class _Info(msgspec.Struct, rename="pascal"):
    driver_status: list[list[str]] | None = None


class _Image(msgspec.Struct, rename="pascal"):
    id: str
    created: int = 0


class _Layers(msgspec.Struct, rename="pascal"):
    layers: list[str] | None = None


class _Shown(msgspec.Struct):
    rootfs: _Layers = msgspec.field(name="RootFS", default_factory=_Layers)


def _get(engine: http.client.HTTPConnection, path: str, kind: type[T]) -> T:
    """Raises `OSError` or `ValueError`, of which msgspec's errors are."""
    try:
        engine.request("GET", path)
        return gojson.unmarshal(engine.getresponse().read(), type=kind)
    except http.client.HTTPException as error:
        raise ValueError(str(error)) from error


def _has_own_layers(engine: http.client.HTTPConnection) -> bool:
    names = [part.name for part in _get(engine, "/version", _Version).components]
    status = _get(engine, "/info", _Info).driver_status or []
    return "Engine" in names and ["driver-type", "io.containerd.snapshotter.v1"] not in status


def _chains(engine: http.client.HTTPConnection) -> Iterator[str]:
    images = sorted(_get(engine, "/images/json", list[_Image]), key=lambda image: -image.created)
    left = CHAINS_MOST
    until_s = time.monotonic() + PATIENCE_S
    for image in images[:IMAGES_MOST]:
        if time.monotonic() > until_s:
            return
        layers = _get(engine, f"/images/{image.id}/json", _Shown).rootfs.layers or []
        for chain in chain_ids(layers)[:left]:
            left -= 1
            yield chain
