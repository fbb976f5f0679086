"""What is below an image's root, in the order in which registries take it."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.errors import InvalidRequest
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.image.manifest import Index
from croze.registry.push import closure
from tests.registry.blobs import Folder


def index_of(content: Folder, *entries: Descriptor) -> Descriptor:
    data = manifests.marshal(Index(media_type=media.OCI_INDEX, manifests=entries))
    return content.add(data, media.OCI_INDEX)


def test_children_come_before_their_parents(tmp_path: Path) -> None:
    """Each once, however many have it."""
    content = Folder(tmp_path)
    one, two = content.image(b"a", b"b", config=b"1"), content.image(b"b", b"c", config=b"2")
    inner = index_of(content, two, one)
    root = index_of(content, one, inner, two)
    order, blobs = closure(root, content)
    assert order == [one, two, inner, root]
    assert [content.read(blob.digest) for blob in blobs] == [b"1", b"a", b"b", b"2", b"c"]


def test_indexes_below_one_another(tmp_path: Path) -> None:
    """As many as one likes, each naming the next twice."""
    content = Folder(tmp_path)
    chain = [content.image(b"layer")]
    for _ in range(1200):
        chain.append(index_of(content, chain[-1], chain[-1]))
    order, blobs = closure(chain[-1], content)
    assert order == chain
    assert len(blobs) == 2


def test_a_blob_alone_is_no_image(tmp_path: Path) -> None:
    content = Folder(tmp_path)
    with pytest.raises(InvalidRequest, match="is not a manifest that can be pushed"):
        closure(content.add(b"", media.OCI_LAYER_GZIP), content)
