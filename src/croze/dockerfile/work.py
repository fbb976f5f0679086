"""What workers that read Dockerfiles load, and how long they may compute."""

from __future__ import annotations

from typing import Final

MODULES: Final = (
    "croze.dockerfile.asking",
    "croze.dockerfile.frontend",
    "croze.dockerfile.named_contexts",
)
"""What a worker loads before its first Dockerfile."""
CPU_S: Final = 30
"""How long the frontend may compute for one request, in seconds. The largest of Dockerfiles takes
one or two."""
