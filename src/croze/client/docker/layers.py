"""Which layers a Docker engine has, so that nobody sends them again.

An engine tells the layers of its images. One with Docker's own layer store can build on any chain
of them that an image begins with; containerd's image store and podman's know layers by their blobs,
and tell the digests of the images' manifests, which crozed may know. Who does not answer in time
has nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Iterator
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from croze.builders.contexts import Contexts
from croze.client.docker.connection import connection_to
from croze.client.plan import Export, SolvePlan, ToDocker
from croze.errors import CrozeError
from croze.files.docker_config import config_dir
from croze.gotypes import gojson
from croze.image.config import chain_ids

KNOWN_CHAINS = "croze.known-chains"
KNOWN_IMAGES = "croze.known-images"
ONE_ENTRY = "croze.one-entry"
"""The exporter's attributes (`croze.export.sparse`)."""
PATIENCE_S = 10.0
"""A busy engine takes seconds, and longer yet to be sent everything."""
IMAGES_MOST = 100
"""How many of the newest images are looked at: what is built on is seldom older."""
CHAINS_MOST = 2000
ANSWER_BYTES_MOST = 64 << 20
_PIECE_BYTES = 1 << 20

Store = Literal["layers", "containerd", "podman"]
T = TypeVar("T")


class EngineContents(Struct):
    """The layers and images that an engine has, as far as it tells."""

    store: Store = "layers"
    chains: set[str] = field(default_factory=set)
    """Chain IDs of layers."""
    images: set[str] = field(default_factory=set)
    """Digests of manifests and indexes; of engines that know layers by their blobs."""


def with_known_layers(plan: SolvePlan) -> SolvePlan:
    """The plan, whose loads leave out what their engines have. Blocks."""
    return replace(plan, exports=[_sparing(export) for export in plan.exports])


def _sparing(export: Export) -> Export:
    if not isinstance(export.to, ToDocker) or export.type != "docker":
        return export
    contents = known(export.to.context)
    attrs = {**export.attrs, KNOWN_CHAINS: ",".join(sorted(contents.chains))}
    if contents.store != "layers":
        attrs[KNOWN_IMAGES] = ",".join(sorted(contents.images))
    to = export.to
    if contents.store == "podman":
        attrs[ONE_ENTRY] = "true"
        to = replace(to, one_name=True)
    return replace(export, attrs={key: value for key, value in attrs.items() if value}, to=to)


def known(context: str) -> EngineContents:
    """What the engine of a docker context has, as far as it tells."""
    contents = EngineContents()
    with contextlib.suppress(OSError, ValueError, CrozeError):
        contexts = Contexts(config_dir())
        with contextlib.closing(
            connection_to(contexts.engine(context or contexts.current))
        ) as connection:
            connection.timeout = PATIENCE_S
            _ask(_Engine(connection, time.monotonic() + PATIENCE_S), contents)
    return contents


class _Part(msgspec.Struct, rename="pascal"):
    name: str = ""


class _Version(msgspec.Struct, rename="pascal"):
    components: list[_Part] = []


class _EngineInfo(msgspec.Struct, rename="pascal"):
    driver_status: list[list[str]] | None = None


class _Image(msgspec.Struct, rename="pascal"):
    id: str
    created: int = 0
    digest: str = ""
    """podman's alone tells it; containerd's is the id."""


class _ImageLayers(msgspec.Struct, rename="pascal"):
    layers: list[str] | None = None


class _InspectedImage(msgspec.Struct):
    rootfs: _ImageLayers = msgspec.field(name="RootFS", default_factory=_ImageLayers)


class _Engine(Struct, frozen=True):
    """A connection, and how long it is asked."""

    connection: http.client.HTTPConnection
    until_s: float

    def get(self, path: str, kind: type[T]) -> T:
        """The answer to a GET. Raises `OSError` or `ValueError`, of which msgspec's errors are."""
        body = bytearray()
        try:
            self.connection.request("GET", path)
            # Only a closed answer lets the connection ask again.
            with self.connection.getresponse() as answer:
                while piece := answer.read1(_PIECE_BYTES):
                    body += piece
                    if len(body) > ANSWER_BYTES_MOST or time.monotonic() > self.until_s:
                        raise ValueError(f"an answer to {path} that does not end")
            return gojson.unmarshal(body, type=kind)
        except http.client.HTTPException as error:
            raise ValueError(str(error)) from error


def _ask(engine: _Engine, contents: EngineContents) -> None:
    """Fill in what the engine has. Raises `OSError` or `ValueError`; what was found until then
    holds."""
    store = _store(engine)
    if store is None:
        return
    contents.store = store
    for image, chains in _images(engine):
        contents.chains.update(chains)
        if store != "layers":
            contents.images.add(image.digest or image.id)


def _store(engine: _Engine) -> Store | None:
    """How the engine keeps layers; None for one that is not known."""
    names = [part.name for part in engine.get("/version", _Version).components]
    if "Podman Engine" in names:
        return "podman"
    if "Engine" not in names:
        return None
    status = engine.get("/info", _EngineInfo).driver_status or []
    by_blobs = ["driver-type", "io.containerd.snapshotter.v1"] in status
    return "containerd" if by_blobs else "layers"


def _images(engine: _Engine) -> Iterator[tuple[_Image, list[str]]]:
    """The newest images with the chains of their layers."""
    images = sorted(engine.get("/images/json", list[_Image]), key=lambda image: -image.created)
    remaining_chains = CHAINS_MOST
    for image in images[:IMAGES_MOST]:
        layers = engine.get(f"/images/{image.id}/json", _InspectedImage).rootfs.layers or []
        remaining_chains -= len(layers)
        if remaining_chains < 0 or time.monotonic() > engine.until_s:
            return
        yield image, chain_ids(layers)
