"""What the environment says, to daemons and clients."""

from __future__ import annotations

TRUSTED_ROOT = "CROZE_SIGSTORE_TRUSTED_ROOT"
"""Names a `trusted_root.json` in place of the public instance's."""
