"""Builders whose images are signed, as tests ask for them."""

from __future__ import annotations

import hashlib
import json

from tests.support.signed_images import LAYER, SignedImage, make_image

ROOT = "CROZE_SIGSTORE_TRUSTED_ROOT"


BUILDER = "https://github.com/docker/github-builder/.github/workflows/build.yml@refs/tags/v1"


EMPTY = b"\0" * 1024
"""A tar archive without entries."""


def image_of(name: str, *, hardened: bool = False) -> SignedImage:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"name": name}},
        "rootfs": {
            "type": "layers",
            "diff_ids": ["sha256:" + hashlib.sha256(EMPTY).hexdigest()],
        },
    }
    return make_image(json.dumps(config).encode(), {EMPTY: LAYER}, hardened=hardened)
