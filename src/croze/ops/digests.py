"""SHA-256 digests in their text form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from croze.cachekeys.texts import Kind, digest_of


def digest(data: bytes) -> str:
    """`sha256:` and the hex digest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def joined(texts: Iterable[str], kind: Kind) -> str:
    """The digest of texts with a zero byte between them."""
    return digest_of(b"\0".join(t.encode("utf-8", "surrogateescape") for t in texts), kind)
