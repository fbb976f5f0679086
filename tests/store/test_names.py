"""What names of images have meant."""

from __future__ import annotations

import pytest

from croze.image.reference import parse
from croze.store import names
from croze.store.open import Store


async def test_a_name_that_moves_on_again_and_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it meant once is forgotten, the oldest first: a daemon may live for years."""
    monkeypatch.setattr(names, "MOST", 3)
    digests = [await store.blobs.put(bytes([number])) for number in range(5)]
    name = parse("registry.example/app:latest")
    for digest in digests:
        store.names.note(name, digest)
    remembered = [store.names.has(name.with_digest(digest)) for digest in digests]
    assert remembered == [False, False, True, True, True]
    assert store.names.latest(name) == digests[-1]
