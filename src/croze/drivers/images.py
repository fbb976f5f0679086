"""The images that drivers run.

Source: docker/buildx `driver/bkimage`, `policy/default.go`.
"""

from __future__ import annotations

import os

from croze.errors import Unsupported
from croze.gotypes.booleans import parse_bool
from croze.image import reference

BUILDKIT_IMAGE = "moby/buildkit:buildx-stable-1"
BUILDKIT_ROOTLESS_IMAGE = f"{BUILDKIT_IMAGE}-rootless"
QEMU_IMAGE = "tonistiigi/binfmt:latest"
_VERIFIED = "docker.io/moby/buildkit"


def check_verification(image: str, *, allowed: bool) -> None:
    """Raises `Unsupported` for an image whose signature the user wants verified: that is not there
    yet."""
    wanted = parse_bool(os.environ.get("BUILDX_DEFAULT_POLICY", "")) is True
    if wanted and not allowed and reference.parse(image).name == _VERIFIED:
        raise Unsupported(
            f"BUILDX_DEFAULT_POLICY asks for the signature of {image}, which can't be verified "
            "here: name another image, or set the driver option allow-untrusted-image=true"
        )
