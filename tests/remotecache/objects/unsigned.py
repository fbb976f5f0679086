"""Caches whose indexes nobody signs."""

from __future__ import annotations

from pathlib import Path

from croze.remotecache.objects.gha_signatures import Signatures
from croze.sigstore.verifier import SigstoreVerifier

UNSIGNED = Signatures(SigstoreVerifier(Path("/nonexistent")))
