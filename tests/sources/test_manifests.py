"""Images with more to read than anybody means."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from croze.errors import InvalidRequest
from croze.image import manifest as manifests
from croze.image.bounds import CONTENTS_MOST, CONTENTS_MOST_BYTES
from croze.image.descriptor import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor
from croze.image.manifest import LAYERS_MOST, Index, Manifest
from croze.image.platform import Platform
from croze.sources.content import ImageContents
from croze.sources.manifests import pull_manifests
from croze.status import Progress
from croze.store.contract import BlobFetcher, BlobStore
from tests.sources.rig import Rig

pytestmark = pytest.mark.root


@dataclass
class Shop:
    """Contents by digest; `top` is what its name resolves to."""

    contents: dict[str, bytes] = field(default_factory=dict)
    top: Descriptor | None = None
    read_bytes: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)

    def add(self, data: bytes, media_type: str) -> Descriptor:
        descriptor = manifests.describe(data, media_type)
        self.contents[descriptor.digest] = data
        return descriptor

    def image(self, config: Mapping[str, object], layers: Sequence[Descriptor] = ()) -> Descriptor:
        below = self.add(json.dumps(config).encode(), OCI_CONFIG)
        value = Manifest(media_type=OCI_MANIFEST, config=below, layers=tuple(layers))
        return self.add(manifests.marshal(value), OCI_MANIFEST)

    def index(self, entries: Sequence[Descriptor]) -> Descriptor:
        value = Index(media_type=OCI_INDEX, manifests=tuple(entries))
        return self.add(manifests.marshal(value), OCI_INDEX)

    async def resolve(self, sessions: Sequence[str]) -> Descriptor:
        assert self.top is not None
        return self.top

    async def root(self, sessions: Sequence[str]) -> tuple[Descriptor, bytes]:
        top = await self.resolve(sessions)
        return top, await self.read(top, sessions)

    async def read(self, descriptor: Descriptor, sessions: Sequence[str]) -> bytes:
        data = self.contents[descriptor.digest]
        self.read_bytes += len(data)
        return data

    async def bring(
        self, digest: str, progress: Progress | None, blobs: BlobStore, sessions: Sequence[str]
    ) -> None:
        raise AssertionError(digest)

    def fetcher(self, progress: Progress | None) -> BlobFetcher:
        raise AssertionError(progress)


def other(number: int, **more: object) -> Mapping[str, object]:
    """The config of an image for another platform."""
    return {"architecture": "arm64", "os": "linux", "number": number, **more}


def many(shop: Shop) -> Descriptor:
    return shop.index([shop.image(other(n)) for n in range(CONTENTS_MOST // 2 + 1)])


def large(shop: Shop) -> Descriptor:
    size = 7 << 20
    texts = ("x" * size for _ in range(CONTENTS_MOST_BYTES // size + 2))
    return shop.index([shop.image(other(n, text=text)) for n, text in enumerate(texts)])


def tall(shop: Shop) -> Descriptor:
    layer = shop.add(b"", OCI_LAYER)
    count = LAYERS_MOST + 1
    rootfs = {"type": "layers", "diff_ids": [layer.digest] * count}
    return shop.image({"architecture": "amd64", "os": "linux", "rootfs": rootfs}, [layer] * count)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (many, f"more than {CONTENTS_MOST} manifests and configs in one image"),
        (large, "manifests and configs of more than 64 MiB in one image"),
        (tall, f"{LAYERS_MOST + 1} layers: no more than {LAYERS_MOST} can be on top of each other"),
    ],
)
async def test_images_without_end(
    rig: Rig, made: Callable[[Shop], Descriptor], message: str
) -> None:
    """Of an index without platforms, all configs are looked at for the one that fits."""
    shop = Shop()
    shop.top = made(shop)
    contents: ImageContents = shop
    with pytest.raises(InvalidRequest) as caught:
        await pull_manifests(contents, rig.store.blobs, Platform("amd64", "linux"), ())
    assert str(caught.value) == message
    assert shop.read_bytes < CONTENTS_MOST_BYTES + (9 << 20)
