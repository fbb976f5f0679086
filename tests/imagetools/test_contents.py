"""Images with more in them than anybody looks at."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from croze.errors import InvalidRequest
from croze.image import bounds
from croze.image import manifest as manifests
from croze.image.config import ImageConfig
from croze.image.descriptor import OCI_INDEX, OCI_MANIFEST, Descriptor
from croze.image.manifest import EMPTY_CONFIG, Index, Manifest
from croze.imagetools.contents import SPDX, PlatformImage, platform_images, predicates
from croze.imagetools.contract import LARGEST_READ_BYTES
from croze.imagetools.layout_place import LayoutPlace
from croze.imagetools.location import LayoutLocation

STATEMENT = "application/vnd.in-toto+json"


@pytest.fixture
def place(tmp_path: Path) -> LayoutPlace:
    (tmp_path / "blobs/sha256").mkdir(parents=True)
    return LayoutPlace(LayoutLocation(str(tmp_path)))


def put(folder: Path, data: bytes, media_type: str) -> Descriptor:
    (folder / "blobs/sha256" / hashlib.sha256(data).hexdigest()).write_bytes(data)
    return manifests.describe(data, media_type)


async def test_an_index_without_end(
    place: LayoutPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each manifest is about some other image."""
    monkeypatch.setattr(bounds, "CONTENTS_MOST", 10)
    entries = []
    for number in range(10):
        value = Manifest(config=EMPTY_CONFIG, annotations={"number": str(number)})
        entry = put(tmp_path, manifests.marshal(value), OCI_MANIFEST)
        about = {"vnd.docker.reference.digest": f"sha256:{number:064}"}
        entries.append(Descriptor(OCI_MANIFEST, entry.digest, entry.size, (), about))
    nine, ten = (
        put(tmp_path, manifests.marshal(Index(manifests=tuple(some))), OCI_INDEX)
        for some in (entries[:9], entries)
    )
    assert await platform_images(place, nine) == {}
    with pytest.raises(InvalidRequest, match="more than 10 manifests and configs in one image"):
        await platform_images(place, ten)


async def test_statements_without_end(place: LayoutPlace) -> None:
    """None is fetched."""
    notes = {"in-toto.io/predicate-type": SPDX}
    half = LARGEST_READ_BYTES // 2 + 1
    layers = [Descriptor(STATEMENT, f"sha256:{n:064}", half, (), notes) for n in range(2)]
    image = PlatformImage(
        ImageConfig("amd64", "linux"), [Manifest(config=EMPTY_CONFIG, layers=tuple(layers))]
    )
    with pytest.raises(InvalidRequest, match="statements of more than 256 MiB in one image"):
        await predicates(place, image, SPDX)
