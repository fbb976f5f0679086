"""Where the manifests are that a user names."""

from __future__ import annotations

import pytest

from croze.imagetools import location as locations
from croze.imagetools import sources

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("r.example/a:t", f"r.example/a:t@{DIGEST}"),
        ("r.example/a", f"r.example/a:latest@{DIGEST}"),
        (f"r.example/a@{OTHER}", f"r.example/a@{DIGEST}"),
        ("oci-layout:///d:t", f"oci-layout:///d@{DIGEST}"),
    ],
)
def test_a_digest_alone_is_of_the_repository_that_is_named(target: str, where: str) -> None:
    for text in (DIGEST, f'{{"digest":"{DIGEST}"}}'):
        (found,) = sources.located([sources.parse(text)], [locations.parse(target)])
        assert str(found[0]) == where
