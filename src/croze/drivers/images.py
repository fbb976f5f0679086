"""The images that drivers run.

Source: docker/buildx `driver/bkimage`, `policy/default.go`.
"""

from __future__ import annotations

import os

from croze.gotypes.booleans import parse_bool
from croze.image import reference
from croze.image.reference import Reference

BUILDKIT_IMAGE = "moby/buildkit:buildx-stable-1"
BUILDKIT_ROOTLESS_IMAGE = f"{BUILDKIT_IMAGE}-rootless"
QEMU_IMAGE = "tonistiigi/binfmt:latest"
_SIGNED = "docker.io/moby/buildkit"


def to_be_verified(image: str) -> Reference | None:
    """The image's full name, if the user wants the signature of such an image verified: of Docker's
    own (`BUILDX_DEFAULT_POLICY`), unless a digest alone names it."""
    if parse_bool(os.environ.get("BUILDX_DEFAULT_POLICY", "")) is not True:
        return None
    ref = reference.parse(image)
    if ref.name != _SIGNED or (ref.digest and not ref.tag):
        return None
    return ref.tagged()
