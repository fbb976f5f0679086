"""What stacks of layers are known by."""

from __future__ import annotations

from croze.digests import digest_of
from croze.image.config import chain_id, chain_ids


def test_chain_ids() -> None:
    two = digest_of(b"a b")
    assert chain_id([]) == ""
    assert chain_id(["a"]) == "a"
    assert chain_id(["a", "b", "c"]) == digest_of(f"{two} c".encode())
    assert chain_ids(["a", "b"]) == ["a", two]
