"""Who looks on while layers are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.store.contract import Compression, CompressionType
from croze.store.open import Store
from tests.store.sources import sha256
from tests.store.trees import make_ref


class Watch:
    """Notes what a `LayerWatch` is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[Path, int]] = []
        self.made: list[tuple[str, bytes]] = []

    def on_begun(self, path: Path) -> None:
        self.begun.append((path, path.stat().st_size))

    def on_made(self, path: Path, digest: str, size: int) -> None:
        data = path.read_bytes()
        assert (sha256(data), len(data)) == (digest, size)
        self.made.append((digest, data))


@pytest.mark.parametrize("kind", ["gzip", "zstd", "uncompressed"])
async def test_who_watches_is_told_of_layers_that_are_made(
    store: Store, kind: CompressionType
) -> None:
    base = await make_ref(store.refs, None, {"a": "1"})
    ref = await make_ref(store.refs, base, {"b": "2"})
    watch, again, other = Watch(), Watch(), Watch()
    layers = await ref.layers(Compression(kind), watch=watch)
    assert sorted(digest for digest, _ in watch.made) == sorted(x.descriptor.digest for x in layers)
    assert [size for _, size in watch.begun] == [0, 0]
    await ref.layers(Compression(kind), watch=again)
    assert not again.begun
    changed = await ref.layers(Compression("estargz", force=True), watch=other)
    assert {digest for digest, _ in other.made} == {x.descriptor.digest for x in changed}
    await ref.release()
    await base.release()
