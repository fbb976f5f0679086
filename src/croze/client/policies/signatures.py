"""Who verifies signatures for policies, and where it keeps what it trusts."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from croze.files.docker_config import buildx_dir
from croze.sigstore.environment import TRUSTED_ROOT
from croze.sigstore.verifier import SigstoreVerifier


def verifier() -> SigstoreVerifier:
    """The verifier for all policies that trust the same: its root is fetched once."""
    return _verifier(buildx_dir(), os.environ.get(TRUSTED_ROOT, ""))


@functools.cache
def _verifier(directory: Path, trusted_root: str) -> SigstoreVerifier:
    return SigstoreVerifier(directory / "policy" / "sigstore", trusted_root)
