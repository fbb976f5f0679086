"""Digests: what bytes are named by (OCI image-spec, `descriptor.md`, "Digests")."""

from __future__ import annotations

import hashlib


def digest_of(data: bytes) -> str:
    """`sha256:` and the SHA-256 of `data` in lower-case hex."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
