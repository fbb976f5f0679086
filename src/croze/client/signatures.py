"""Who verifies signatures for policies, and where it keeps what it trusts."""

from __future__ import annotations

from croze.files.docker_config import buildx_dir
from croze.sigstore.verifier import SigstoreVerifier


def verifier() -> SigstoreVerifier:
    return SigstoreVerifier(buildx_dir() / "policy" / "sigstore")
