"""Layers that may be had elsewhere: uploaded like all others, unless that is not wanted."""

from __future__ import annotations

import pytest

from croze.export.layers import exported
from croze.image.descriptor import Descriptor

DOCKER, OCI = "application/vnd.docker.image.rootfs.", "application/vnd.oci.image.layer."
URLS = ("https://elsewhere.example/layer",)


@pytest.mark.parametrize(
    ("kind", "urls", "prefer", "oci", "expected"),
    [
        (f"{DOCKER}foreign.diff.tar.gzip", URLS, True, False, f"{DOCKER}foreign.diff.tar.gzip"),
        (f"{DOCKER}foreign.diff.tar.gzip", URLS, True, True, f"{OCI}nondistributable.v1.tar+gzip"),
        (f"{DOCKER}foreign.diff.tar.gzip", URLS, False, False, f"{DOCKER}diff.tar.gzip"),
        (f"{DOCKER}foreign.diff.tar", URLS, False, True, f"{OCI}v1.tar"),
        (f"{OCI}nondistributable.v1.tar+zstd", URLS, False, True, f"{OCI}v1.tar+zstd"),
        (f"{OCI}nondistributable.v1.tar+gzip", (), True, True, f"{OCI}v1.tar+gzip"),
        (f"{OCI}v1.tar+gzip", URLS, True, True, f"{OCI}nondistributable.v1.tar+gzip"),
        (f"{DOCKER}diff.tar", URLS, True, False, f"{DOCKER}foreign.diff.tar"),
    ],
)
def test_foreign_layers(
    kind: str, urls: tuple[str, ...], prefer: bool, oci: bool, expected: str
) -> None:
    layer = Descriptor(kind, f"sha256:{'0' * 64}", 1, urls)
    (made,) = exported([layer], oci=oci, prefer_nondist=prefer)
    assert made.media_type == expected
    assert made.urls == (urls if prefer else ())
