"""Names of cache keys.

The digest of a record is the one BuildKit's cache exports use: `sha256("<cache digest>@<output>")`,
with output -1 for a key made from content.
"""

from __future__ import annotations

import secrets

from croze.cachekeys.texts import noted_digest

RANDOM = "random:"
IMPORTED = "imported:"
"""Begins ids that an imported cache gives to its keys; they are never saved."""


def record_digest(cache_digest: str, output: int) -> str:
    """The digest of the record for output `output` of an op with this cache map digest."""
    return noted_digest(f"{cache_digest}@{output}".encode(), "string")


def root_key(cache_digest: str, output: int) -> str:
    """Id of the key of an op without inputs. Random digests stay random: never exported."""
    if cache_digest.startswith(RANDOM):
        return f"{cache_digest}@{output}" if output else cache_digest
    return record_digest(cache_digest, output)


def is_imported(key: str) -> bool:
    """Whether the key means something in an imported cache only."""
    return key.startswith(IMPORTED)


def content_key(content: str) -> str:
    """Id of the key that stands for an input's content."""
    return record_digest(content, -1)


def new_key() -> str:
    """Id of a key that is known by the links that lead to it."""
    return secrets.token_hex(16)
